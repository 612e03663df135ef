"""The shapes that benchmarks run: small ones made the same way load, stay finite and near 1, and are the same again."""

import importlib.util
from pathlib import Path

import cutaway as ct
import numpy as np
import pytest

FILE = Path(__file__).parents[1] / "benchmarks" / "shapes.py"
SMALL = {
    "gpt2": dict(L=2, D=64, H=2, G=2, E=32, F=96, V=300),
    "qwen2": dict(L=2, D=64, H=2, G=1, E=32, F=256, V=300),
    "gpt-oss": dict(L=2, D=64, H=2, G=1, E=32, F=64, V=300, X=8, A=2),
}


@pytest.fixture(scope="module")
def shapes():
    spec = importlib.util.spec_from_file_location("shapes", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "arch, format, vocab, formats",
    [
        ("gpt2", "f16", "gpt-2", {"f16", "f32"}),
        ("qwen2", "q8_0", "qwen2", {"q8_0", "f32"}),
        ("qwen2", "q4_k_m", "qwen2", {"q4_k", "q6_k", "q5_0", "q8_0", "f32"}),  # rows of 64 are no multiple of 256
        ("gpt-oss", "mxfp4", "gpt-2", {"mxfp4", "q8_0", "f32"}),
    ],
)
def test_a_shape_runs_and_is_the_same_again(shapes, monkeypatch, tmp_path, arch, format, vocab, formats):
    monkeypatch.setitem(shapes.SHAPES, "small", dict(arch=arch, format=format, vocab=vocab, **SMALL[arch]))
    path = shapes.make("small", tmp_path / "a")
    assert path.read_bytes() == shapes.make("small", tmp_path / "b").read_bytes()
    m = ct.load(path)
    assert {t.format for t in m.file.tensors} == formats
    logits, cache = m.run_with_cache(list(range(0, 300, 7)), "blocks.*.resid_post")
    assert 2 < logits.std() < 4  # 3 by construction; seen 2.97 to 3.17
    assert all(0.2 < np.std(cache[name]) < 2 for name in cache)  # seen 0.52 to 1.16
    assert m.to_string(m.to_tokens("the", bos=False)) == "the"
