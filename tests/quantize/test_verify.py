"""ct.verify: the right pairs pass, each fault of a conversion is found, by the part that should find it."""

import sys
from pathlib import Path

import cutaway as ct
import numpy as np
import pytest
from cutaway.errors import ArgumentError
from cutaway.verify import EXPLAINED
from quantize.test_to_hf import rewrite

TINY = Path(__file__).parents[1] / "data" / "tiny"
LLAMA, HF = TINY / "llama" / "llama-F16.gguf", TINY / "llama" / "hf"
IDS = [5, 6, 7, 8, 9, 10, 11, 12]
PAIRS = sorted(p for p in TINY.glob("*/*16.gguf"))


@pytest.mark.parametrize("path", PAIRS, ids=lambda p: p.stem)
def test_the_converter_s_files_are_their_folders(path):
    found = ct.verify(path, path.parent / "hf", IDS)
    assert found and found.activations.rows
    if path.stem != "llama3-rope-BF16":
        assert found.lossless and max(r.rel for r in found.activations.rows) == 0
        assert f"all {len(found.tensors)} tensors are the same to the bit" in found.summary()


@pytest.mark.parametrize("path", sorted((TINY / "llama-k").glob("*.gguf")), ids=lambda p: p.stem)
def test_quantised_files_are_rounded(path):
    found = ct.verify(path, TINY / "llama-k" / "hf", IDS)
    name = path.stem.removeprefix("llama-k-").lower()
    assert found and not found.lossless and "rounded" in found.summary()
    assert {r.verdict for r in found.tensors} == {"same", "rounded"}
    worst = max(r.rel for r in found.tensors)
    assert EXPLAINED[name] / 4 <= worst <= EXPLAINED[name]


def test_every_format_has_a_limit(tmp_path):
    assert set(EXPLAINED) == set(ct.formats())
    for name in EXPLAINED:
        if name == "f32":
            continue
        ct.quantize(TINY / "llama-k" / "hf", tmp_path / "m.gguf", name)
        found = ct.verify(tmp_path / "m.gguf", TINY / "llama-k" / "hf", IDS)
        assert found, (name, found.summary())


def halves(x, heads):
    return np.swapaxes(x.reshape(heads, -1, 2, x.shape[-1]), 1, 2).reshape(x.shape)


@pytest.mark.parametrize("kind", ["f16", "q8_0", "q4_0"])
def test_rows_of_q_not_turned(kind, tmp_path):
    x = halves(ct.load(LLAMA).weight("blk.2.attn_q.weight"), 4)
    stored = (kind, x.shape, ct.pack(kind, x).reshape(-1))
    found = ct.verify(rewrite(LLAMA, tmp_path / "m.gguf", tensors={"blk.2.attn_q.weight": stored}), HF, IDS)
    assert not found and [r.tensor for r in found.tensors if r.verdict == "WRONG"] == ["blk.2.attn_q.weight"]
    assert "blk.2.attn_q.weight is off by" in found.summary() and "1 of 39 tensors are wrong" in found.summary()


def test_one_number_of_a_norm(tmp_path):
    x = ct.load(LLAMA).weight("output_norm.weight").copy()
    x[3] = np.nextafter(x[3], 9, dtype=np.float32)
    found = ct.verify(rewrite(LLAMA, tmp_path / "m.gguf", tensors={"output_norm.weight": x}), HF, IDS)
    assert not found and "output_norm.weight is off by" in found.summary()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("llama.rope.freq_base", 10000.0, "rope_base"),
        ("llama.attention.layer_norm_rms_epsilon", 1e-6, "eps"),
        ("llama.context_length", 256, "context"),
    ],
)
def test_numbers_of_the_model(key, value, words, tmp_path):
    found = ct.verify(rewrite(LLAMA, tmp_path / "m.gguf", {key: value}), HF, IDS)
    assert not found and found.activations is None
    assert f"NOT the same model: {words} is" in found.summary()


def test_what_only_the_graph_shows(tmp_path):
    path = rewrite(LLAMA, tmp_path / "m.gguf", {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 2.0})
    found = ct.verify(path, HF, IDS)
    assert not found and "rope.frequencies differs" in found.summary()


def test_a_tensor_too_few(tmp_path):
    file = TINY / "llama" / "llama-F16.gguf"
    found = ct.verify(rewrite(file, tmp_path / "m.gguf", tensors={"output.weight": None}), HF, IDS)
    assert not found and [r.verdict for r in found.tensors].count("MISSING") == 1
    assert "token_embd.weight" in found.summary()  # the head is tied in one of them


def test_activations_decide_too(monkeypatch):
    """A run that parts although numbers and tensors agree."""
    module = sys.modules["cutaway.verify"]
    real = module.compare

    def faulty(a, b, ids, **options):
        with a.hooks([("blocks.1.mlp.out", lambda act, hook: act * np.float32(1.01))]):
            return real(a, b, ids, **options)

    monkeypatch.setattr(module, "compare", faulty)
    found = ct.verify(LLAMA, HF, IDS)
    assert not found and "though its tensors agree: first wrong stage: blocks.1.mlp.out" in found.summary()


def test_text_notes_and_sides(tmp_path):
    ct.to_hf(LLAMA, tmp_path / "hf")
    found = ct.verify(LLAMA, tmp_path / "hf")
    assert found.notes == [] and found.to_dict()["ok"] is True and "resid_post" in repr(found)
    other = rewrite(LLAMA, tmp_path / "m.gguf", {"tokenizer.ggml.pre": "gpt-2"})
    assert "cuts the prompt otherwise" in ct.verify(other, tmp_path / "hf", "In 1611 I'LL say").notes[0]
    assert "no tokenizer" in ct.verify(LLAMA, HF).notes[0] and ct.verify(LLAMA, HF)
    with pytest.raises(ArgumentError, match="compares a GGUF file with a folder"):
        ct.verify(HF, HF, IDS)
