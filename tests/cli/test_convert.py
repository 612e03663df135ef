"""quantize, convert, verify and kl from the command line: what they print, and their exit codes."""

from pathlib import Path

import cutaway as ct
import pytest

TINY = Path(__file__).parents[1] / "data" / "tiny"
LLAMA, HF = TINY / "llama" / "llama-F16.gguf", TINY / "llama" / "hf"


def test_quantize(run, tmp_path):
    code, out, err = run("quantize", LLAMA, tmp_path / "m.gguf", "--format", "q4_k_m", "--progress")
    assert code == 0 and "blk.0.ffn_down.weight" in out and "rows of 64 are no multiple of 256" in out
    assert ct.inspect(tmp_path / "m.gguf").key("general.file_type") == 15
    code, out, _ = run("quantize", LLAMA, tmp_path / "m.gguf", "--format", "mxfp4", "--brief")
    assert code == 0 and "blk.0" not in out.split(";")[0] and "bits per weight" in out
    code, _, err = run("quantize", LLAMA, tmp_path / "m.gguf", "--format", "q9")
    assert code == 2 and "expected one of f32" in err


def test_convert_both_ways_and_verify(run, tmp_path):
    code, out, _ = run("convert", LLAMA, tmp_path / "hf")
    assert code == 0 and "config.json, model.safetensors, tokenizer.json; 39 tensors" in out
    code, out, _ = run("convert", tmp_path / "hf", tmp_path / "back.gguf")
    assert code == 0
    code, out, _ = run("verify", tmp_path / "back.gguf", tmp_path / "hf", "--brief")
    assert code == 0 and out.startswith("the same model: all 39 tensors are the same to the bit")
    code, out, _ = run("verify", "tiny:gpt2", tmp_path / "hf", "--brief")
    assert code == 1 and "NOT the same model: arch is gpt2 in the file and llama in the folder" in out
    code, _, err = run("convert", tmp_path / "hf", tmp_path / "hf3")
    assert code == 2 and "ends in .gguf" in err
    code, _, err = run("convert", LLAMA, tmp_path / "b.gguf")
    assert code == 2 and "cutaway quantize" in err
    code, _, err = run("verify", LLAMA, tmp_path / "none")
    assert code == 2


def test_kl(run, as_json, tmp_path):
    (tmp_path / "t.txt").write_text(
        "1:1 In the beginning God created the heaven and the earth.\n1:2 And the earth was without form, and void; and "
        "darkness was upon the face of the deep. And the Spirit of God moved upon the face of the waters.\n"
    )
    code, out, _ = run("kl", LLAMA, LLAMA, "-f", tmp_path / "t.txt")
    assert code == 0 and "is within 1 % of" in out and "same likeliest word 100.00 %" in out
    run("quantize", LLAMA, tmp_path / "m.gguf", "--format", "q2_k")
    orders = [(tmp_path / "m.gguf", LLAMA), (LLAMA, tmp_path / "m.gguf")]  # the one is worse than the other
    code_of = lambda a, b: run("kl", a, b, "-f", tmp_path / "t.txt", "--within", 0)[0]
    assert sorted(code_of(a, b) for a, b in orders) == [0, 1]
    worse = next((a, b) for a, b in orders if code_of(a, b) == 1)
    found = as_json("kl", *worse, "-f", tmp_path / "t.txt", "--within", 0, code=1)
    assert found["within"] is False and found["kl"] > 0 and found["limit"] == 0
    assert as_json("kl", LLAMA, LLAMA, "-f", tmp_path / "t.txt", "--tokens", 5)["tokens"] == 4
    for wrong in (["--within", -1], ["--tokens", 1], ["-f", tmp_path / "none"]):
        words = ["kl", LLAMA, LLAMA, *([] if wrong[0] == "-f" else ["-p", "In"]), *wrong]
        assert run(*words)[0] == 2


@pytest.mark.parametrize("verb", ["quantize", "convert", "verify", "kl"])
def test_a_model_that_is_not_there(run, verb, tmp_path):
    words = {"quantize": [tmp_path / "o.gguf", "--format", "q8_0"], "convert": [tmp_path / "o"],
             "verify": [HF], "kl": ["tiny:llama", "-p", "In"]}[verb]  # fmt: skip
    code, _, err = run(verb, "none.gguf", *words)
    assert code == 2 and "E001" in err and not list(tmp_path.iterdir())
