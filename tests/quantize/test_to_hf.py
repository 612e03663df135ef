"""GGUF -> folder -> GGUF: the same bits, the same tokens, and what config.json cannot say refused."""

import json
import random
import sys
from pathlib import Path

import cutaway as ct
import numpy as np
import pytest
from cutaway.errors import ArgumentError, SaveError, UnsupportedOperation
from cutaway.hf_config import llama3_scaling
from text.folders import random_text

TINY = Path(__file__).parents[1] / "data" / "tiny"
FILES = sorted(p for p in TINY.glob("*/*.gguf") if "llama-k" not in p.name or "Q6_K" in p.name)
LLAMA = TINY / "llama" / "llama-F16.gguf"
by_name = pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)


def rewrite(source, out, metadata=None, tensors=None):
    """A GGUF file once more, with other metadata or tensors (None: without)."""
    file = ct.load(source).file
    kinds = file.types
    values = {k: (kinds[k], v) for k, v in file.metadata.items()} | (metadata or {})
    arrays = {t.name: (t.format, t.shape, file.raw(t.name)) for t in file.tensors} | (tensors or {})
    ct.write_gguf(
        out, {k: v for k, v in values.items() if v is not None}, {k: v for k, v in arrays.items() if v is not None}
    )
    return out


def test_every_architecture_is_there():
    assert {p.parent.name for p in FILES} >= {"gpt2", "llama", "qwen2", "qwen3", "phi3", "gemma3", "gpt-oss"}


@by_name
def test_there_and_back(path, tmp_path):
    made = ct.to_hf(path, tmp_path / "hf")
    ct.quantize(tmp_path / "hf", tmp_path / "back.gguf", "keep")
    ids = np.arange(5, 60)
    a, folder, b = (ct.load(p, numerics="exact") for p in (path, tmp_path / "hf", tmp_path / "back.gguf"))
    for one in (folder, b):
        for t in a.file.tensors:
            x, y = a.weight(t.name), one.weight(t.name)
            if t.name == "rope_freqs.weight":  # made anew of the numbers of llama3, in float64
                assert np.allclose(x, y, rtol=2e-7, atol=0)
            else:
                assert np.array_equal(x.view(np.uint32), y.view(np.uint32)), t.name
    x, y, z = a.run(ids), folder.run(ids), b.run(ids)
    assert np.array_equal(y, z)
    if "rope_freqs.weight" in {t.name for t in a.file.tensors}:
        assert np.abs(x - y).max() <= 6e-5  # worst seen 1.7e-5
    else:
        assert np.array_equal(x, y)
    assert made.tokenizer and b.cfg.n_ctx == a.cfg.n_ctx
    assert [n.split()[0] for n in made.notes] == (["rope_freqs.weight"] if "llama3-rope" in path.name else [])


@by_name
def test_the_same_tokens(path, tmp_path):
    ct.to_hf(path, tmp_path / "hf")
    a, b = ct.Tokenizer(path), ct.Tokenizer(tmp_path / "hf")
    assert (b.kind, b.vocab_size, b.bos_id, b.eos_id) == ("hf-json", a.vocab_size, a.bos_id, a.eos_id)
    assert (a.add_bos, a.end_ids, a.pre if a.pre != "default" else "") == (b.add_bos, b.end_ids, b.pre)
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(300):
        text = random_text(rng, ["<|im_end|>", "<|endoftext|>", "<|user|>", "<end_of_turn>"])
        for special in (False, True):
            assert ct.tokenize_diff(a, b, text, parse_special=special, bos=True), (seed, text)


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "gpt-4o"])
def test_the_rules_of_splitting(pre, tmp_path):
    path = rewrite(TINY / "gpt2" / "gpt2-F16.gguf", tmp_path / "m.gguf", {"tokenizer.ggml.pre": pre})
    ct.to_hf(path, tmp_path / "hf")
    a, b = ct.Tokenizer(path), ct.Tokenizer(tmp_path / "hf")
    assert ct.tokenize_diff(a, b, "I'LL say 12345,  they've\n\n  said; 漢字 naïve\t!!") and (b.kind, a.pre) == (
        "hf-json",
        pre,
    )


def test_dtypes(tmp_path):
    wanted = {"keep": "float16", "f32": "float32", "bf16": "bfloat16"}
    for dtype, torch in wanted.items():
        ct.to_hf(LLAMA, tmp_path / dtype, dtype=dtype)
        file = ct.load(tmp_path / dtype).file
        assert json.loads((tmp_path / dtype / "config.json").read_text())["dtype"] == torch
        found = {t.format for t in file.tensors if len(t.shape) > 1}
        assert found == {dtype if dtype != "keep" else "f16"}
        assert {t.format for t in file.tensors if len(t.shape) == 1} == {"f32"}
    ct.quantize(LLAMA, tmp_path / "m.gguf", "mxfp4")
    ct.to_hf(tmp_path / "m.gguf", tmp_path / "mxfp4")  # bf16 holds mxfp4 to the bit
    a, b = ct.load(tmp_path / "m.gguf"), ct.load(tmp_path / "mxfp4")
    assert b.file.tensor("blk.0.attn_q.weight").format == "bf16"
    assert all(np.array_equal(a.weight(t.name), b.weight(t.name)) for t in a.file.tensors)


def test_what_a_folder_cannot_say(tmp_path):
    head = ct.load(LLAMA).weight("output.weight")
    for change, words in [
        ({"tensors": {"blk.0.strange.weight": np.zeros((4, 4), np.float32)}}, "1 tensors that have no place.*strange"),
        ({"tensors": {"rope_freqs.weight": np.linspace(1, 3, 8, dtype=np.float32)}}, "no numbers of rope type llama3"),
    ]:
        path = rewrite(LLAMA, tmp_path / "m.gguf", **change)
        with pytest.raises(UnsupportedOperation, match=words):
            ct.to_hf(path, tmp_path / "hf")
    large = rewrite(LLAMA, tmp_path / "large.gguf", tensors={"output.weight": head * np.float32(1e9)})
    with pytest.raises(ArgumentError, match="lm_head.weight has a value of .* infinite in f16"):
        ct.to_hf(large, tmp_path / "hf", dtype="f16")
    assert {p.name for p in tmp_path.iterdir()} == {"m.gguf", "large.gguf"}  # and no half a folder


def test_the_check_of_the_graph_finds_what_config_lost(tmp_path, monkeypatch):
    to_hf = sys.modules["cutaway.to_hf"]
    for key in ("rms_norm_eps", "rope_theta"):
        real = to_hf.config_json
        with monkeypatch.context() as m:
            m.setattr(to_hf, "config_json", lambda file, key=key, real=real: {**real(file), key: 0.5})
            with pytest.raises(UnsupportedOperation, match="config.json cannot say this model"):
                ct.to_hf(LLAMA, tmp_path / "hf")
    assert not list(tmp_path.iterdir())


def test_a_tokenizer_that_has_no_json_is_left_out(tmp_path):
    path = rewrite(LLAMA, tmp_path / "m.gguf", {"tokenizer.ggml.pre": "deepseek-coder"})
    made = ct.to_hf(path, tmp_path / "hf")
    assert not made.tokenizer and "'deepseek-coder'" in made.notes[0] and made.notes[0] in repr(made)
    assert not (tmp_path / "hf" / "tokenizer.json").exists()
    bare = {k: None for k in ct.load(LLAMA).file.keys if k.startswith("tokenizer.")}
    assert "no tokenizer" in ct.to_hf(rewrite(LLAMA, tmp_path / "n.gguf", bare), tmp_path / "hf2").notes[0]


def test_llama3_factors_are_found_by_their_numbers():
    for base, width, factor, low, high, context in [(500000, 128, 8, 1, 4, 8192), (500000, 64, 32, 1, 4, 8192)]:
        waves = 2 * np.pi * base ** (2 * np.arange(width // 2) / width)
        t = np.clip((context / waves - low) / (high - low), 0, 1)
        made = np.float32(1 / ((1 - t) / factor + t))
        assert llama3_scaling(made, base, width) == {
            "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
            "original_max_position_embeddings": context,
        }  # fmt: skip


def test_norms_that_one_less_rounds_are_noted(tmp_path):
    gemma = TINY / "gemma3" / "gemma3-BF16.gguf"
    norm = np.linspace(1e-3, 0.3, 64, dtype=np.float32)
    made = ct.to_hf(rewrite(gemma, tmp_path / "m.gguf", tensors={"output_norm.weight": norm}), tmp_path / "hf")
    assert made.notes == ["model.norm.weight is kept as what is added to 1, which rounds some of its values"]


def test_refusals(tmp_path):
    with pytest.raises(ArgumentError, match="dtype is 'q8_0', expected keep, f32, f16, bf16"):
        ct.to_hf(LLAMA, tmp_path / "hf", dtype="q8_0")
    with pytest.raises(ArgumentError, match="is a folder already"):
        ct.to_hf(TINY / "llama" / "hf", tmp_path / "hf")
    with pytest.raises(SaveError, match="is there already"):
        ct.to_hf(LLAMA, tmp_path)
    with pytest.raises(SaveError, match="no directory"):
        ct.to_hf(LLAMA, tmp_path / "none" / "hf")
