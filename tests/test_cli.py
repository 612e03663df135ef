"""The command: every verb, its keys, its exit codes, and that --json prints one object and nothing else."""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import cutaway as ct
import numpy as np
import pytest
from cutaway.cli import main, parser
from cutaway.errors import NonFiniteError
from cutaway.loading import find

MANIFEST = {"file", "bytes", "arch", "numerics", "kv", "device", "target", "threads", "version"}


@pytest.fixture
def run(capsys):
    """run("inspect", ..) -> exit code, standard output, standard error."""

    def call(*words):
        code = main([str(w) for w in words])
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


@pytest.fixture
def as_json(run):
    def call(*words, code=0):
        got, out, _ = run(*words, "--json")
        assert got == code, out
        assert out.count("\n") == 1
        return json.loads(out)

    return call


def verbs() -> list[str]:
    action = next(a for a in parser()._actions if a.dest == "verb")
    return list(action.choices)


# --- what all verbs have ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_has_help_with_an_example_and_its_keys(verb, capsys):
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert f"example:\n  cutaway {verb}" in text
    assert "keys with --json: " in text


@pytest.mark.parametrize("verb", verbs())
def test_the_example_of_every_verb_parses(verb):
    import shlex

    action = next(a for a in parser()._actions if a.dest == "verb")
    line = action.choices[verb].epilog.split("example:\n  cutaway ")[1].split("\n")[0]
    assert parser().parse_args(shlex.split(line)).verb == verb


WITH_MODEL = [
    ("inspect",), ("plan",), ("tokenize", "x"), ("run", "-p", "x"), ("chat", "-p", "x"), ("trace", "-p", "x"),
    ("compare", "numpy"), ("check",), ("bench",),
]  # fmt: skip


@pytest.mark.parametrize("words", WITH_MODEL, ids=lambda w: w[0])
def test_a_file_that_is_not_there(words, run, as_json, tmp_path):
    words = (words[0], tmp_path / "no.gguf", *words[1:])
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert "[E001]" in err and "hint:" in err
    error = as_json(*words, code=2)["error"]
    assert set(error) == {"code", "type", "message", "hint", "details"}
    assert (error["code"], error["type"]) == ("E001", "ModelNotFoundError")


@pytest.mark.parametrize("words", WITH_MODEL, ids=lambda w: w[0])
def test_a_file_that_is_no_model(words, as_json, tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(Path(find("tiny:llama")).read_bytes()[:1000])
    assert as_json(words[0], path, *words[1:], code=2)["error"]["code"] == "E002"


@pytest.mark.parametrize("words", [("nonsense",), ("run",), ("run", "tiny:llama", "--threads", "two"), ()], ids=str)
def test_words_that_mean_nothing(words, run, as_json):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert "hint: `cutaway" in err
    assert as_json(*words, code=2)["error"]["type"] == "Usage"


def test_options_that_cannot_be_had(as_json):
    assert as_json("run", "tiny:llama", "-p", "x", "--device", "cuda", code=2)["error"]["type"] == "DeviceError"
    assert as_json("run", "tiny:llama", "-p", "x", "--target", "mmx", code=2)["error"]["code"].startswith("E0")
    assert as_json("run", "tiny:llama", "--ids", "1,two", code=2)["error"]["type"] == "Usage"
    assert as_json("run", "tiny:llama", "--ids", "99999", code=2)["error"]["code"] == "E007"


# --- files ------------------------------------------------------------------------------------------------------------


def test_inspect(run, as_json):
    found = as_json("inspect", "tiny:llama")
    assert set(found) == {
        "path", "parts", "kind", "bytes", "header_bytes", "summary", "missing", "warnings", "metadata", "types",
        "formats", "layers", "tensors",
    }  # fmt: skip
    assert found["summary"]["architecture"] == "llama"
    assert len(as_json("inspect", "tiny:llama", "--tensors", "blk.1.*")["tensors"]) == 9
    assert as_json("inspect", "tiny:llama", "--key", "llama.block_count")["value"] == 4
    assert "blk.3.ffn_down.weight" in run("inspect", "tiny:llama", "--tensors", "blk.3.*", "--sort", "bytes")[1]
    assert run("inspect", "tiny:llama", "--layers")[1].startswith("layer")
    assert "general.architecture" in run("inspect", "tiny:llama", "--metadata")[1]
    code, _, err = run("inspect", "tiny:llama", "--key", "llama.block_cuont")
    assert code == 2 and "llama.block_count" in err


def test_plan_says_whether_it_fits_by_its_exit_code(run, as_json):
    found = as_json("plan", "tiny:llama", "--n-ctx", 128, "--batch", 2)
    assert set(found) == {
        "file", "device", "need", "budget", "limit", "fits", "parts", "weights", "options", "remedies",
    }  # fmt: skip
    assert found["options"]["batch"] == 2
    assert as_json("plan", "tiny:llama", "--max-ram", "100KiB", code=1)["fits"] is False
    assert run("plan", "tiny:llama")[1].startswith("model needs")


def test_tokenize(run, as_json):
    found = as_json("tokenize", "tiny:llama", "In the beginning", "--roundtrip")
    assert set(found) == {"ids", "pieces", "bytes_hex", "bos_added", "text", "roundtrip"}
    assert found["roundtrip"] is True and found["bos_added"] is True
    without = as_json("tokenize", "tiny:llama", "In the beginning", "--bos", "no")
    assert without["ids"] == found["ids"][1:]
    assert b"".join(bytes.fromhex(h) for h in without["bytes_hex"]) == b"In the beginning"
    assert run("tokenize", "tiny:llama", "--ids", ",".join(map(str, without["ids"])))[1] == "In the beginning\n"
    assert run("tokenize", "tiny:llama", "x", "--ids", "1")[0] == 2


def test_kernels(run, as_json):
    found = as_json("kernels")
    assert set(found) == {"cpu", "cores", "threads", "targets", "default_target", "why", "ops"}
    by_name = {op["name"]: op for op in found["ops"]}
    assert set(by_name) == {op["name"] for op in ct._core.ops()}
    for op in by_name.values():
        assert op["runs"] in op["targets"] and op["runs"] in found["targets"]
    assert as_json("kernels", "--target", "scalar")["ops"][0]["runs"] == "scalar"
    assert as_json("kernels", "--target", "neon9", code=2)["error"]["type"] == "Usage"
    assert "mean(x[t]^2)" in run("kernels", "--op", "rms_norm")[1]
    assert "rms_norm" in run("kernels", "--op", "rms_nrm")[2]


def test_kernels_names_the_kernel_that_a_model_runs(as_json):
    runs = {op["name"]: op["runs"] for op in as_json("kernels")["ops"]}
    for step in ct.load("tiny:llama")._core.steps():
        assert runs[step["op"]] == step["target"]


# --- generate ---------------------------------------------------------------------------------------------------------


def test_run(run, as_json):
    expected = ct.load("tiny:llama").generate("In the beginning", max_new_tokens=12)
    found = as_json("run", "tiny:llama", "-p", "In the beginning", "-n", 12, "--logprobs", 2)
    assert set(found) == {
        "text", "ids", "prompt_ids", "stop", "logprobs", "top_logprobs", "stats", "manifest",
    }  # fmt: skip
    assert set(found["manifest"]) == MANIFEST
    assert (found["text"], found["ids"], found["stop"]) == (expected.text, expected.ids, "length")
    assert len(found["logprobs"]) == 12 and len(found["top_logprobs"][0]) == 2
    code, out, err = run("run", "tiny:llama", "-p", "In the beginning", "-n", 12)
    assert (code, out) == (0, expected.text + "\n")
    assert "tok/s" in err and "stopped by length" in err
    ids = ",".join(map(str, found["prompt_ids"]))
    assert as_json("run", "tiny:llama", "--ids", ids, "-n", 12)["text"] == expected.text


def test_run_samples_by_its_seed(as_json):
    sample = lambda seed: as_json(
        "run", "tiny:llama", "-p", "And", "-n", 16, "--temperature", 1.5, "--top-k", 40, "--top-p", 0.95, "--min-p",
        0.001, "--seed", seed,
    )["ids"]  # fmt: skip
    assert sample(1) == sample(1) != sample(2)


def test_run_stops_before_its_stop_text(as_json):
    found = as_json("run", "tiny:llama", "-p", "In the beginning", "-n", 30, "--stop", "LORD")
    assert found["stop"] == "stop" and "LORD" not in found["text"]
    assert as_json("run", "tiny:llama", "-p", "a", "-n", 600, code=2)["error"]["type"] == "ContextLengthExceeded"
    assert as_json("run", "tiny:llama", "-p", "a", "--temperature", -1, code=2)["error"]["type"] == "ArgumentError"


def test_run_passes_the_options_of_load(as_json):
    manifest = as_json(
        "run", "tiny:llama", "-p", "a", "-n", 1, "--numerics", "exact", "--threads", 1, "--target", "scalar",
        "--kv", "f16",
    )["manifest"]  # fmt: skip
    assert [manifest[k] for k in ("numerics", "threads", "target", "kv")] == ["exact", 1, "scalar", "f16"]


def test_chat_keeps_the_session_between_turns(as_json):
    words = ("chat", "tiny:llama", "--template", "plain", "-n", 8)
    found = as_json(*words, "-p", "In the beginning", "-p", "And then")
    assert set(found) == {"turns", "manifest"}
    first, second = found["turns"]
    assert set(first) == {"user", "assistant", "ids", "stop", "stats", "reused_tokens"}
    assert first["reused_tokens"] == 0 and second["reused_tokens"] > 5
    # A second turn that continues a session is the turn that runs everything anew.
    whole = f"In the beginning\n{first['assistant']}\nAnd then\n"
    assert second["ids"] == ct.load("tiny:llama").generate(whole, max_new_tokens=8).ids


def test_chat_reads_a_line_of_standard_input_per_turn(as_json, run, monkeypatch):
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("In the beginning\n\nAnd then\n"))
    found = as_json("chat", "tiny:llama", "--template", "plain", "-n", 4)
    assert [t["user"] for t in found["turns"]] == ["In the beginning", "And then"]


def test_chat_refuses_what_a_model_cannot(as_json):
    assert as_json("chat", "tiny:llama", "-p", "x", code=2)["error"]["type"] == "TemplateError"
    long = ("chat", "tiny:llama", "-p", "x " * 40, "--template", "plain", "--n-ctx", 16)
    assert as_json(*long, code=2)["error"]["type"] == "ContextLengthExceeded"


@pytest.mark.model
def test_chat_with_a_real_model(smollm2, as_json):
    found = as_json("chat", smollm2, "--template", "chatml", "-p", "What is the capital of France?", "-n", 12)
    assert found["turns"][0]["ids"] == [504, 3575, 282, 4649, 314, 7042, 30, 2]


# --- look -------------------------------------------------------------------------------------------------------------


def read_safetensors(path):
    data = path.read_bytes()
    n = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8 : 8 + n])
    notes, body = header.pop("__metadata__"), data[8 + n :]
    arrays = {k: np.frombuffer(body[slice(*v["data_offsets"])], "<f4").reshape(v["shape"]) for k, v in header.items()}
    assert sum(a.nbytes for a in arrays.values()) == len(body)
    return arrays, notes


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_trace_saves_what_run_with_cache_gives(suffix, as_json, tmp_path):
    path = tmp_path / f"run.{suffix}"
    found = as_json("trace", "tiny:llama", "-p", "And God", "-n", "blocks.*.resid_post", "-n", "logits", "-o", path)
    assert set(found) == {"tokens", "stages", "file", "manifest"}
    arrays, notes = read_safetensors(path) if suffix == "safetensors" else (dict(np.load(path)), None)
    model = ct.load("tiny:llama")
    _, cache = model.run_with_cache("And God", ["blocks.*.resid_post", "logits"])
    assert list(arrays) == list(cache) == [s["stage"] for s in found["stages"]]
    for name, values in cache.items():
        np.testing.assert_array_equal(arrays[name], values)
    if notes is not None:
        assert json.loads(notes["tokens"]) == found["tokens"] and notes["arch"] == "llama"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_safetensors_by_the_other_reader(as_json, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "run.safetensors"
    as_json("trace", "tiny:llama", "-p", "And God", "-o", path)
    _, cache = ct.load("tiny:llama").run_with_cache("And God")
    loaded = safetensors.load_file(path)
    assert set(loaded) == set(cache)
    np.testing.assert_array_equal(loaded["logits"], cache["logits"])


def test_trace_prints_the_numbers_of_each_stage(run, as_json):
    found = as_json("trace", "tiny:llama", "-p", "And God said")
    keys = {"stage", "op", "shape", "min", "max", "rms", "masked", "non_finite"}
    assert all(set(s) == keys for s in found["stages"])
    assert [s["stage"] for s in found["stages"]] == ct.load("tiny:llama").stages()
    by_name = {s["stage"]: s for s in found["stages"]}
    _, cache = ct.load("tiny:llama").run_with_cache("And God said")
    T = cache["logits"].shape[1]
    assert by_name["blocks.0.attn.scores"]["masked"] == 4 * T * (T - 1) // 2
    x = cache["blocks.1.mlp.out"].astype(np.float64)
    assert by_name["blocks.1.mlp.out"]["rms"] == pytest.approx(np.sqrt((x * x).mean()))
    code, out, _ = run("trace", "tiny:llama", "-p", "And", "-n", "embed", "--stats")
    assert code == 0 and out.splitlines()[1].startswith("embed")


def test_trace_fails_where_a_value_is_not_finite(run, monkeypatch):
    real = ct.Model.run_with_cache

    def broken(self, *args, **options):
        logits, cache = real(self, *args, **options)
        cache["blocks.1.mlp.out"][0, 0, 0] = np.inf
        return logits, cache

    monkeypatch.setattr(ct.Model, "run_with_cache", broken)
    code, out, _ = run("trace", "tiny:llama", "-p", "And")
    assert code == 1 and "not finite: blocks.1.mlp.out" in out


def test_trace_refuses(as_json, tmp_path):
    words = ("trace", "tiny:llama", "-p", "And")
    assert as_json(*words, "-o", "run.pkl", code=2)["error"]["type"] == "Usage"
    assert as_json(*words, "-o", tmp_path / "no" / "run.npz", code=2)["error"]["type"] == "SaveError"
    assert as_json(*words, "--budget", "1KiB", code=2)["error"]["code"] == "E005"
    assert "blocks.0.resid_post" in as_json(*words, "-n", "blocks.0.resid_pots", code=2)["error"]["message"]


@pytest.mark.parametrize("mode", ["isolate", "accumulate"])
def test_compare_with_numpy(mode, run, as_json, tmp_path):
    page = tmp_path / "report.html"
    found = as_json("compare", "tiny:llama", "numpy", "-p", "And God", "--mode", mode, "--html", page)
    assert {"title", "mode", "ok", "first", "stages", "tokens", "manifest"} <= set(found)
    assert found["ok"] is True and found["mode"] == mode
    assert "blocks.0.attn.q" in page.read_text()
    code, out, _ = run("compare", "tiny:llama", "numpy", "-p", "And God", "--mode", mode)
    assert code == 0 and "blocks.3.mlp.out" in out and "all" in out.splitlines()[-1]


def test_compare_of_two_models(as_json):
    assert as_json("compare", "tiny:llama", "tiny:llama", "--target-b", "scalar")["ok"] is True
    assert as_json("compare", "tiny:llama", "tiny:gpt2", code=2)["error"]["type"] == "ArgumentError"
    assert as_json("compare", "tiny:llama", "numpy", "--target-b", "scalar", code=2)["error"]["type"] == "Usage"


def test_compare_exits_1_where_a_stage_is_wrong(run, monkeypatch):
    import cutaway.compare  # noqa: F401

    module = sys.modules["cutaway.compare"]
    real = module.compare

    def hooked(a, b, tokens, **options):
        def fault(act, hook):
            act[..., 3] *= 1.01

        with a.hooks([("blocks.2.mlp.out", fault)]):
            return real(a, b, tokens, **options)

    monkeypatch.setattr(module, "compare", hooked)
    code, out, _ = run("compare", "tiny:llama", "numpy", "-p", "And God")
    assert code == 1 and "first wrong stage: blocks.2.mlp.out" in out


def test_probe(run, as_json):
    found = as_json("probe", "rms_norm", "--target", "scalar", "--shapes", "[[2, 64], [1, 33]]")
    assert found["ok"] is True and len(found["stages"]) == 2
    assert all(s["kernel"] == "rms_norm/scalar" for s in found["stages"])
    assert len(as_json("probe", "matmul/scalar", "--format", "q4_1", "--shapes", "[[2, 64]]")["stages"]) == 2
    assert as_json("probe", "rms_nrm", code=2)["error"]["type"] == "UnknownOp"
    assert as_json("probe", "rms_norm", "--shapes", "many", code=2)["error"]["type"] == "Usage"


def test_probe_exits_1_where_a_kernel_is_wrong(run, monkeypatch):
    from cutaway import ops

    monkeypatch.setattr(ops.definition("rms_norm"), "UNITS", 0.01)
    assert run("probe", "rms_norm", "--target", "scalar")[0] == 1


def test_check(run, as_json):
    found = as_json("check", "tiny:llama", "-p", "And God said")
    assert found["ok"] is True and found["mode"] == "check"
    code, out, _ = run("check", "tiny:llama", "--only", "repeat", "--only", "chunks")
    assert code == 0 and [line.split()[0] for line in out.splitlines()[2:4]] == ["repeat", "chunks"]
    assert as_json("check", "tiny:llama", "--only", "repaet", code=2)["error"]["type"] == "ArgumentError"


# --- bench, demo ------------------------------------------------------------------------------------------------------


def test_bench(run, as_json, monkeypatch):
    from cutaway import roofline, speed

    peak = roofline.Peak(10.0, 2, 1 << 20, "given")
    monkeypatch.setattr(speed, "read_bandwidth", lambda threads: peak)
    words = ("bench", "tiny:llama", "-p", 8, "-n", 4, "--runs", 2, "--no-peers")
    found = as_json(*words, "--hooks", "blocks.*.resid_post")
    assert set(found) == {
        "model", "manifest", "prompt", "new", "runs", "peak", "bytes_per_token", "sides", "watched", "ratios",
        "peer_absent",
    }  # fmt: skip
    assert set(found["sides"]) == {"cutaway", "cutaway, watched"}
    ours = found["sides"]["cutaway"]
    assert set(ours) == {"prefill_tok_s", "decode_tok_s", "decode_tok_s_runs", "gbs", "share"}
    assert len(ours["decode_tok_s_runs"]) == 2
    assert ours["share"] == pytest.approx(ours["gbs"] / 10)
    assert ours["gbs"] == pytest.approx(ours["decode_tok_s"] * found["bytes_per_token"]["all"] / 1e9)
    code, out, _ = run(*words)
    assert code == 0 and "of peak" in out and "was not measured: not asked for" in out
    assert as_json(*words[:2], "-p", 600, code=2)["error"]["type"] == "ArgumentError"


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_bytes_of_a_token_are_all_weights_but_the_embeddings_rows(name):
    from cutaway.speed import bytes_per_token

    model = ct.load(f"tiny:{name}")
    weights = {w["weight"]["tensor"]: w for w in model._core.weights()}
    expected = sum(w["bytes"] for w in model._core.weights())
    head_is_its_own = name == "llama"
    if head_is_its_own:
        expected -= weights["token_embd.weight"]["bytes"] * (1 - 1 / 1024)
    else:
        expected -= weights["position_embd.weight"]["bytes"] * (1 - 1 / 512)
    moved = bytes_per_token(model, 10)
    assert moved["weights"] == pytest.approx(expected)
    assert moved["cache"] == 10 * 2 * 4 * (2 if name == "llama" else 4) * 16 * 2


def test_read_bandwidth_is_of_this_machine(monkeypatch):
    from cutaway import roofline

    monkeypatch.setattr(roofline, "last_level_cache", lambda: 1 << 20)
    peak = roofline.read_bandwidth(threads=1, runs=1)
    assert peak.buffer_bytes >= 64 << 20
    assert 0.2 < peak.gbs < 5000
    assert roofline.last_level_cache() > 0


def test_demo_with_the_bundled_model(run, as_json):
    found = as_json("demo", "--model", "tiny:llama")
    assert set(found) == {"model", "passed", "parts", "answer", "story", "report", "fault"}
    assert found["passed"] and [p["name"] for p in found["parts"]] == ["text", "stages", "fault"]
    assert found["fault"] == {"planted": "blocks.3.mlp.out", "found": ["blocks.3.mlp.out"]}
    code, out, _ = run("demo", "--model", "tiny:llama")
    assert code == 0
    for stage in ct.load("tiny:llama").stages():
        assert f"\n{stage} " in out
    assert out.splitlines()[-4] == "Try next:"


def test_demo_says_what_it_uses_where_smollm2_is_not_installed(run, monkeypatch):
    from cutaway import loading

    monkeypatch.setitem(loading.PACKAGED, "smollm2", ("no_such_package", "model.gguf"))
    code, out, _ = run("demo")
    assert code == 0 and "smollm2 is not installed" in out and "tiny:llama" in out


def test_demo_fails_where_a_part_does_not_hold(run, monkeypatch):
    monkeypatch.setattr(ct.Model, "hooks", lambda self, hooks: contextlib.nullcontext())
    code, out, _ = run("demo", "--model", "tiny:llama")
    assert code == 1 and "FAIL  fault" in out


@pytest.mark.model
@pytest.mark.slow
def test_demo_with_a_real_model(smollm2, as_json):
    found = as_json("demo", "--model", smollm2, "-n", 40)
    assert [p["name"] for p in found["parts"]] == ["answer", "story", "stages", "fault"]
    assert found["fault"]["found"] == ["blocks.7.mlp.out"]


# --- as a process -----------------------------------------------------------------------------------------------------

COMMAND = [sys.executable, "-m", "cutaway.cli"]


def test_output_streams_and_a_reader_that_leaves_is_no_error():
    code = "import sys; from cutaway.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["trace", "tiny:llama", "-p", "And God said, " * 20]
    process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()  # before anything is written
    err = process.stderr.read()
    assert process.wait(60) == 141
    assert err == b""


def test_an_interrupt_ends_with_130_and_no_traceback():
    words = ["chat", "tiny:llama", "--template", "plain", "--progress"]
    process = subprocess.Popen(
        [*COMMAND, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while b"loaded" not in process.stderr.readline():
        pass
    time.sleep(0.2)  # it waits for a line
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr.read() == b"\ninterrupted\n"


def test_progress_goes_to_standard_error_and_only_when_asked_for():
    words = [*COMMAND, "run", "tiny:llama", "-p", "And", "-n", "2", "--json"]
    quiet = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert quiet.stderr == ""
    loud = subprocess.run([*words, "--progress"], capture_output=True, text=True, timeout=60)
    assert "loading tiny:llama" in loud.stderr
    assert json.loads(loud.stdout)["ids"] == json.loads(quiet.stdout)["ids"]


def test_an_error_inside_a_verb_is_not_dressed_up_as_a_result(as_json, monkeypatch):
    def fails(self, *args, **options):
        raise NonFiniteError("blocks.2.mlp.out holds NaN", layer=2, stage="blocks.2.mlp.out")

    monkeypatch.setattr(ct.Model, "stream", fails)
    error = as_json("run", "tiny:llama", "-p", "x", code=2)["error"]
    assert error["details"] == {"layer": 2, "stage": "blocks.2.mlp.out"}
