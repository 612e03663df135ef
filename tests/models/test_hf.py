"""Hugging Face folders: the same tensors and numbers as the converter's GGUF, and the goldens of transformers."""

import threading

import cutaway as ct
import numpy as np
import pytest
from cutaway import _core

# Folder and the file that llama.cpp's converter made of it. Of gemma3-short it makes a wrong one, of llama-k there is
# none here.
CONVERTED = {
    "gpt2/hf": "gpt2-F16",
    "llama/hf": "llama-F16",
    "llama3-rope/hf": "llama3-rope-BF16",
    "qwen2/hf": "qwen2-F16",
    "qwen3/hf": "qwen3-BF16",
    "phi3/hf": "phi3-F16",
    "phi3-longrope/hf": "phi3-longrope-BF16",
    "gemma3/hf": "gemma3-BF16",
    "gpt-oss/hf": "gpt-oss-BF16",
    "gpt-oss/hf-mxfp4": "gpt-oss-hf-mxfp4",
}
GOLDEN = ["gpt2", "llama", "llama-k", "llama3-rope", "qwen2", "qwen3", "phi3", "phi3-longrope", "gemma3"]
GOLDEN += ["gemma3-short", "gpt-oss"]


@pytest.fixture
def pair(data):
    """A folder and the converter's file, open."""

    def opened(folder):
        converted = data / "tiny" / folder.split("/")[0] / f"{CONVERTED[folder]}.gguf"
        return _core.open_model(data / "tiny" / folder), _core.open_gguf(converted)

    return opened


@pytest.mark.parametrize("folder", CONVERTED)
def test_every_tensor_has_the_converters_bytes(pair, folder):
    ours, theirs = pair(folder)
    shapes = lambda file: {t.name: (t.format, t.shape, t.bytes) for t in file.tensors}
    assert shapes(ours) == shapes(theirs) and not ours.warnings
    for name in shapes(theirs):
        if name == "rope_freqs.weight":  # computed; the converter's arithmetic is in float32, worst seen 1.8e-7
            a, b = ours.raw(name).view("f4"), theirs.raw(name).view("f4")
            np.testing.assert_allclose(a, b, rtol=4e-7)
        else:
            assert np.array_equal(ours.raw(name), theirs.raw(name)), name


@pytest.mark.parametrize("folder", CONVERTED)
def test_every_key_says_what_the_converters_says(pair, folder):
    ours, theirs = pair(folder)
    for key in theirs.keys:
        if key.startswith("tokenizer.") or key in ("general.type", "general.name", "general.size_label"):
            continue
        assert (ours.value(key), ours.value_type(key)) == (theirs.value(key), theirs.value_type(key)), key


def test_what_gguf_has_no_key_for(data):
    value = lambda name, key: _core.open_model(data / "tiny" / name / "hf").value(key)
    assert value("gemma3-short", "gemma3.attention.scale") == pytest.approx(12**-0.5, rel=1e-15)
    assert value("gemma3-short", "gemma3.attention.sliding_window_pattern") == [True, False] * 2
    assert value("gemma3", "gemma3.attention.sliding_window_pattern") == [True] * 5 + [False, True]
    assert value("gpt-oss", "gpt-oss.attention.sliding_window_pattern") == [True, False] * 2
    assert value("gpt-oss", "gpt-oss.rope.scaling.yarn_truncate") is False


@pytest.mark.parametrize("folder", [*CONVERTED, "gemma3-short/hf"])
def test_any_range_reads_as_part_of_the_whole(data, folder):
    file = _core.open_model(data / "tiny" / folder)
    random = np.random.default_rng(0)
    for t in file.tensors:
        whole = file.raw(t.name)
        for _ in range(3):
            start, end = np.sort(random.integers(0, t.bytes + 1, 2))
            assert np.array_equal(file.raw(t.name, int(start), int(end - start)), whole[start:end]), t.name


@pytest.mark.parametrize("folder", ["gpt2/hf", "gpt-oss/hf", "gpt-oss/hf-mxfp4"])
def test_rows_read_by_several_threads(data, folder):
    """As weights are loaded: each thread takes some of the rows, in no order, several tensors at once."""
    file, whole = _core.open_model(data / "tiny" / folder), _core.open_model(data / "tiny" / folder)
    wrong = []

    def read(worker):
        for name in [t.name for t in file.tensors if t.name.startswith("blk.1.") and len(t.shape) > 1]:
            t, stored = file.tensor(name), whole.raw(name)
            rows = int(np.prod(t.shape[:-1]))
            size = t.bytes // rows
            for i in range(rows):
                row = (i * 37 + worker * rows // 4) % rows
                if not np.array_equal(file.raw(name, row * size, size), stored[row * size :][:size]):
                    wrong.append((name, row))

    threads = [threading.Thread(target=read, args=(worker,)) for worker in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong


# --- numbers ----------------------------------------------------------------------------------------------------------

# Worst seen 1.4e-5 on logits of size 10; plain float32 transformers differs by up to 2.2e-5.
EXACT = 5e-5
# Of a layer's largest value; worst seen 1.4e-6 (phi3-longrope, whose factors GGUF keeps in float32), else 4.9e-7.
HIDDEN = 5e-6


@pytest.mark.parametrize("prompt", ["short", "mid", "long"])
@pytest.mark.parametrize("name", GOLDEN)
def test_goldens(data, name, prompt):
    m = ct.load(data / "tiny" / name / "hf", numerics="exact")
    golden = np.load(data / "tiny" / name / "golden.npz")
    ids = golden[f"{prompt}_ids"]
    logits, cache = m.run_with_cache(ids, ["blocks.*.resid_post", "ln_final.out"])
    assert np.abs(logits[0][golden[f"{prompt}_logits_at"]] - golden[f"{prompt}_logits"]).max() < EXACT
    at = golden[f"{prompt}_hidden_at"]
    for i, theirs in enumerate(golden[f"{prompt}_hidden"][1:]):
        assert np.abs(cache["resid_post", i][0][at] - theirs).max() < HIDDEN * np.abs(theirs).max()
    assert -m.score(ids).mean() == pytest.approx(float(golden[f"{prompt}_nll"]), abs=8e-7)  # worst seen 2.1e-7


@pytest.mark.parametrize("prompt", ["short", "mid", "long"])
def test_goldens_of_mxfp4(data, prompt):
    m = ct.load(data / "tiny" / "gpt-oss" / "hf-mxfp4", numerics="exact")
    golden = np.load(data / "tiny/gpt-oss/golden-quantised.npz")
    key = next(k for k in golden if k.startswith("hf-mxfp4") and k.endswith(f"{prompt}_last_logits"))
    ids = np.load(data / "tiny/gpt-oss/golden.npz")[f"{prompt}_ids"]
    assert np.abs(m.run(ids)[0, -1] - golden[key]).max() < EXACT
    assert -m.score(ids).mean() == pytest.approx(
        float(golden[key.replace("last_logits", "nll")]), abs=8e-7
    )  # worst seen 2.1e-7


@pytest.mark.parametrize("folder", CONVERTED)
def test_the_same_bits_as_from_gguf(data, folder):
    """But for llama3's factors, which the converter computes in float32. Worst seen: exact 1.5e-5; fast 1.7e-4, where
    a last bit decides how an activation is rounded to eight."""
    name = folder.split("/")[0]
    path = data / "tiny" / name / f"{CONVERTED[folder]}.gguf"
    ids = np.load(data / "tiny" / name / "golden.npz")["mid_ids"]
    for numerics in ("fast", "exact"):
        a, b = (ct.load(p, numerics=numerics).run(ids) for p in (data / "tiny" / folder, path))
        off = {"fast": 5e-4, "exact": 5e-5}[numerics] if name == "llama3-rope" else 0
        assert np.abs(a - b).max() < off if off else a.tobytes() == b.tobytes()


def test_every_stage_of_a_folder(data):
    report = ct.compare(ct.load(data / "tiny/llama/hf"), "numpy", [1, 2, 3, 4])
    assert report.first is None, report.summary()
