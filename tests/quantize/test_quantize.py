"""ct.quantize: what it writes, in which format and why, the errors it reports, what it refuses and leaves behind."""

import json
from pathlib import Path
from types import SimpleNamespace

import cutaway as ct
import numpy as np
import pytest
from cutaway.errors import ArgumentError, NonFiniteError, SaveError
from cutaway.quantize import Places, is_matrix, uses_more_bits

TINY = Path(__file__).parents[1] / "data" / "tiny"
LLAMA = TINY / "llama" / "llama-F16.gguf"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.gguf"


@pytest.mark.parametrize("name", ct.formats())
def test_every_format(name, out):
    """Every matrix in it, norms in f32, and the report's errors those of the file's numbers."""
    source = ct.load(TINY / "llama-k" / "hf")  # rows of 256, which every format fits
    report = ct.quantize(source, out, name)
    made = ct.load(out)
    assert made.run([5, 6, 7]).shape == (1, 3, 1024)
    for t in made.file.tensors:
        row = report[t.name]
        assert t.format == row.format == ("f32" if len(t.shape) == 1 else name) and not row.note
        x, y = source.weight(t.name).astype(np.float64), made.weight(t.name)
        assert row.rel == pytest.approx(np.sqrt(np.square(y - x).sum() / np.square(x).sum()), rel=1e-9)
        size = min(256, ct.formats()[name].block) if len(t.shape) > 1 and ct.formats()[name].block > 1 else x.shape[-1]
        by_block = np.square(y - x).reshape(-1, size).mean(-1)
        assert row.worst == pytest.approx(np.sqrt(by_block.max() / np.square(x).mean()), rel=1e-9)
        if row.rel:
            assert row.worst_block == by_block.argmax()
    assert report.bytes == sum(t.bytes for t in made.file.tensors) and bool(report.to_dict()["rows"])


def test_metadata_goes_along(out):
    ct.quantize(LLAMA, out, "q8_0")
    a, b = ct.inspect(LLAMA).metadata, ct.inspect(out).metadata
    assert dict(b) == {**dict(a), "general.file_type": 7}
    assert all(a.type(k) == b.type(k) for k in a)


def test_f32_of_f16_gives_the_same_bits(out):
    report = ct.quantize(LLAMA, out, "f32")
    assert all(row.rel == 0 for row in report.rows) and "largest error" not in report.summary()
    a, b = (ct.load(p, numerics="exact").run([5, 6, 7, 8]) for p in (LLAMA, out))
    assert np.array_equal(a, b)


def test_keep_changes_nothing(out):
    ct.quantize(TINY / "gpt-oss" / "gpt-oss-MXFP4_MOE.gguf", out, "keep")
    a, b = (ct.load(p).file for p in (TINY / "gpt-oss" / "gpt-oss-MXFP4_MOE.gguf", out))
    assert [(t.name, t.format, t.shape) for t in a.tensors] == [(t.name, t.format, t.shape) for t in b.tensors]
    assert all(np.array_equal(a.raw(t.name), b.raw(t.name)) for t in a.tensors)
    assert a.metadata == b.metadata


def test_rows_that_no_block_fits_are_told(out):
    report = ct.quantize(LLAMA, out, "q4_k")  # rows of 64 and 160
    row = report["blk.0.ffn_down.weight"]
    assert (row.format, row.note) == ("q5_0", "rows of 160 are no multiple of 256, as q4_k needs")
    assert row.note in repr(report) and "not in the format asked for" in report.summary()
    assert not report["output_norm.weight"].note


def tensor(name, *shape, format="f16"):
    return SimpleNamespace(name=name, shape=shape, format=format)


def places(format, arch="llama", layers=8, head=True):
    names = ["token_embd.weight", *(["output.weight"] if head else [])]
    values = {"general.architecture": arch, f"{arch}.block_count": layers}
    return Places(SimpleNamespace(value=values.get, tensors=[tensor(n, 8, 8) for n in names]), format)


def test_the_next_format_that_fits():
    for wanted, width, format, found in [
        ("q6_k", 64, "f16", "q8_0"), ("q5_k", 64, "f16", "q5_1"), ("q2_k", 64, "f16", "iq4_nl"),
        ("q4_k", 48, "bf16", "bf16"), ("mxfp4", 48, "f32", "f32"), ("q8_0", 48, "q4_0", "f16"),
        ("mxfp4", 64, "f16", "mxfp4"), ("f16", 48, "f32", "f16"),
    ]:  # fmt: skip
        got, note = places(wanted).format_of(tensor("blk.0.ffn_up.weight", 16, width, format=format))
        assert got == found and bool(note) == (got != wanted)


def test_the_mix_is_that_of_llama_cpp():
    mix = places("q4_k_m")
    of = lambda name: mix.format_of(tensor(name, 256, 256))[0]
    assert of("output.weight") == "q6_k" and of("token_embd.weight") == "q4_k"
    assert places("q4_k_m", head=False).format_of(tensor("token_embd.weight", 256, 256))[0] == "q6_k"
    more = {i for i in range(8) if of(f"blk.{i}.attn_v.weight") == "q6_k"}
    assert more == {0, 3, 6, 7} == {i for i in range(8) if of(f"blk.{i}.ffn_down.weight") == "q6_k"}
    assert [i for i in range(30) if uses_more_bits(i, 30)] == [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29]
    assert {of(f"blk.0.{n}.weight") for n in ("attn_q", "attn_k", "attn_output", "ffn_up", "ffn_gate")} == {"q4_k"}
    assert of("blk.1.attn_qkv.weight") == "q5_k" and of("position_embd.weight") == "f32"
    assert places("q5_k_m").format_of(tensor("blk.0.ffn_up.weight", 256, 256))[0] == "q5_k"


def test_what_is_no_matrix():
    for name, shape in [("blk.0.ffn_gate_inp.weight", (8, 64)), ("blk.0.ffn_gate_exps.bias", (8, 64)),
                        ("output_norm.weight", (64,)), ("blk.0.attn_sinks.weight", (4,))]:  # fmt: skip
        assert not is_matrix(tensor(name, *shape)) and places("mxfp4").format_of(tensor(name, *shape))[0] == "f32"
    assert is_matrix(tensor("position_embd.weight", 8, 64)) and is_matrix(tensor("blk.0.ffn_up_exps.weight", 2, 8, 64))


def test_experts_and_position_embeddings(tmp_path):
    for arch, name in (("gpt-oss", "blk.0.ffn_up_exps.weight"), ("gpt2", "position_embd.weight")):
        file = next((TINY / arch).glob("*16.gguf"))
        report = ct.quantize(file, tmp_path / f"{arch}.gguf", "mxfp4")
        assert report[name].format == "mxfp4" and 0.05 < report[name].rel < 0.2
        assert np.isfinite(ct.load(tmp_path / f"{arch}.gguf").run([5, 6, 7])).all()


def test_a_folder_brings_its_tokenizer(tmp_path):
    ct.to_hf(LLAMA, tmp_path / "hf")
    report = ct.quantize(tmp_path / "hf", tmp_path / "out.gguf", "keep")
    assert report.notes == []
    made = ct.load(tmp_path / "out.gguf")
    assert made.tokenizer_kind == "gguf-bpe"
    assert (
        made.to_tokens("In the beginning 1611").tolist() == ct.load(LLAMA).to_tokens("In the beginning 1611").tolist()
    )
    (tmp_path / "hf" / "tokenizer.json").unlink()
    report = ct.quantize(tmp_path / "hf", tmp_path / "ids.gguf", "keep")
    assert "no tokenizer" in report.notes[0] and "no tokenizer" in repr(report)


def test_vocab_and_merges_are_a_tokenizer_too(tmp_path):
    gpt2, hf, out = TINY / "gpt2" / "gpt2-F16.gguf", tmp_path / "hf", tmp_path / "out.gguf"
    ct.to_hf(gpt2, hf)
    root = json.loads((hf / "tokenizer.json").read_text())
    (hf / "tokenizer.json").unlink()
    (hf / "vocab.json").write_text(json.dumps(root["model"]["vocab"]))
    (hf / "merges.txt").write_text("\n".join(map(" ".join, root["model"]["merges"])))
    added = {str(token.pop("id")): token for token in root["added_tokens"]}
    (hf / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
    assert ct.quantize(hf, out, "keep").notes == [] and ct.verify(out, hf).notes == []
    text = "In the beginning 1611<|endoftext|>"
    assert ct.load(out).to_tokens(text).tolist() == ct.load(gpt2).to_tokens(text).tolist()


def changed(path, name, value):
    """The tiny llama with one number of a matrix changed."""
    file = ct.load(LLAMA).file
    kinds = file.types
    tensors = {t.name: (t.format, t.shape, file.raw(t.name)) for t in file.tensors}
    x = ct.unpack("f16", file.raw(name).reshape(tensors[name][1][0], -1))
    x[3, 5] = value
    ct.write_gguf(path, {k: (kinds[k], v) for k, v in file.metadata.items()}, tensors | {name: x})
    return path


def test_numbers_that_a_format_cannot_hold(tmp_path, out):
    bad = changed(tmp_path / "nan.gguf", "blk.1.attn_q.weight", np.nan)
    with pytest.raises(NonFiniteError, match=r"blk.1.attn_q.weight\[3, 5\] is nan, which no block of q4_0 can hold"):
        ct.quantize(bad, out, "q4_0")
    ct.quantize(bad, out, "bf16")  # which has NaN
    large = changed(tmp_path / "large.gguf", "blk.1.attn_q.weight", 1e30)
    for name in ("f16", "q4_0", "q8_0"):
        with pytest.raises(ArgumentError, match=rf"blk.1.attn_q.weight has a value of 1e\+30.*infinite in {name}"):
            ct.quantize(large, out, name)
    assert ct.quantize(large, out, "mxfp4")["blk.1.attn_q.weight"].rel < 0.3


def test_refusals_leave_what_was_there(tmp_path, out):
    out.write_bytes(b"old")
    with pytest.raises(ArgumentError, match="format is 'q9', expected one of f32, f16, .*q4_k_m, .*keep"):
        ct.quantize(LLAMA, out, "q9")
    with pytest.raises(NonFiniteError):
        ct.quantize(changed(tmp_path / "nan.gguf", "blk.1.attn_q.weight", np.inf), out, "q4_0")
    assert out.read_bytes() == b"old" and {p.name for p in tmp_path.iterdir()} == {"out.gguf", "nan.gguf"}
    for path in (tmp_path, tmp_path / "none" / "out.gguf"):
        with pytest.raises(SaveError):
            ct.quantize(LLAMA, path, "q8_0")
    with pytest.raises(ArgumentError, match="no tensor 'nose'"):
        ct.quantize(LLAMA, out, "q8_0")["nose"]


def test_over_its_own_source_and_with_progress(tmp_path):
    path, seen = tmp_path / "m.gguf", []
    path.write_bytes(LLAMA.read_bytes())
    ct.quantize(path, path, "q8_0", progress=lambda done, total: seen.append((done, total)), threads=1)
    assert ct.inspect(path).formats()[0]["format"] == "q8_0"
    assert seen == [(i, 39) for i in range(39)]
    assert [p.name for p in tmp_path.iterdir()] == ["m.gguf"]


def test_threads_give_the_same_file(tmp_path):
    for n in (1, 2):
        ct.quantize(TINY / "llama-k" / "hf", tmp_path / f"{n}.gguf", "q4_k", threads=n)
    assert (tmp_path / "1.gguf").read_bytes() == (tmp_path / "2.gguf").read_bytes()
