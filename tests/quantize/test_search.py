"""Searched scales: never worse than simple ones, nor than llama-quantize; mxfp4's exponent the best there is."""

from pathlib import Path

import cutaway as ct
import numpy as np
import pytest
from cutaway.kernels.formats import format as reference
from cutaway.reference.weights import FileWeights

LLAMA_K = Path(__file__).parents[1] / "data" / "tiny" / "llama-k"
BLOCKED = [name for name in reference.names() if reference.module(name).BLOCK > 1]
# Mean relative error of ours over the 15 matrices, so that a search that finds less fails, too.
OURS = {"iq4_nl": 0.07372, "iq4_xs": 0.07411, "q2_k": 0.26372, "q3_k": 0.14379, "q4_0": 0.08104, "q4_1": 0.06977}
OURS |= {"q4_k": 0.07043, "q5_0": 0.04006, "q5_1": 0.03366, "q5_k": 0.03487, "q6_k": 0.01686, "q8_0": 0.00500}


def relative(y, x):
    x = x.astype(np.float64)
    return float(np.sqrt(((y - x) ** 2).sum() / (x**2).sum()))


def matrices():
    weights = FileWeights(ct.load(LLAMA_K / "hf").file)
    return {n: weights.tensor(n) for n, t in weights.info.items() if len(t.shape) > 1}


@pytest.fixture(scope="module")
def model():
    return matrices()


@pytest.mark.parametrize("name", OURS)
def test_loses_less_than_llama_quantize(model, name):
    """Tensor by tensor; worst ratio seen: 0.985, q4_k."""
    ours = {n: relative(ct.unpack(name, ct.pack(name, x, search=True)), x) for n, x in model.items()}
    assert np.mean(list(ours.values())) <= 1.002 * OURS[name]
    theirs = FileWeights(ct.load(LLAMA_K / f"llama-k-{name.upper()}.gguf").file)
    for n, x in model.items():
        assert theirs.info[n].format == name
        assert ours[n] < relative(theirs.tensor(n), x), n


def samples(name):
    rng = np.random.default_rng(3)
    n = max(reference.module(name).BLOCK, 32)
    x = rng.standard_normal((300, n)) * 10 ** rng.uniform(0, 3, (300, 1))  # scales of scales are normal float16
    x[:50] = np.abs(x[:50])
    x[50:100] = -np.abs(x[50:100])
    x[100:150] += 5 * np.abs(x[100:150]).max(1, keepdims=True)
    x[150:160, 1:] = 0
    x[160:170] = x[160:170, :1]
    return x.astype(np.float32)


def errors(name, x):
    """Squared errors of each row, of simple scales and of searched ones, over the row's own square."""
    square = np.square(x.astype(np.float64)).sum(1)
    return [
        np.square(ct.unpack(name, ct.pack(name, x, search=s)).astype(np.float64) - x).sum(1) / square
        for s in (False, True)
    ]


@pytest.mark.parametrize("name", BLOCKED)
def test_never_worse_than_simple_scales(name):
    simple, searched = errors(name, np.delete(samples(name), slice(150, 170), 0))
    assert (searched <= 1.05 * simple).all(), (searched / simple).max()  # worst seen 1.0009
    assert searched.sum() < simple.sum()


@pytest.mark.parametrize("name", [name for name in BLOCKED if name != "mxfp4"])
def test_blocks_of_one_value(name):
    """One number among zeros, and one number throughout: there the scale alone decides."""
    x = samples(name)
    assert errors(name, x[150:160])[1].max() <= 3e-3  # worst seen 2.1e-3, iq4_xs; else 1.2e-4
    assert errors(name, x[160:170])[1].max() <= 6e-5  # worst seen 2.6e-5, q6_k


@pytest.mark.parametrize("name", BLOCKED)
def test_zeros_stay_zeros_and_small_numbers_finite(name):
    n = max(reference.module(name).BLOCK, 32)
    assert not ct.unpack(name, ct.pack(name, np.zeros((2, n)), search=True)).any()
    for size in (1e-45, 1e-38, 1e-20, 6e-8):
        x = np.full((1, n), size, np.float32)
        x[0, ::2] *= -1
        y = ct.unpack(name, ct.pack(name, x, search=True))
        assert np.isfinite(y).all() and np.abs(y).max() <= 6.1e-8  # the smallest float16


def test_mxfp4_takes_the_best_exponent_of_all():
    mx = reference.module("mxfp4")
    rng = np.random.default_rng(4)
    x = (rng.standard_normal((400, 32)) * np.exp(rng.uniform(-60, 60, (400, 1)))).astype(np.float32)
    x[0], x[0, 0] = 0.26, 4.0  # where the one below is best: 4 becomes 3, and the many fit better
    x[1], x[1, 0] = 2.0**-127, 2.0**-149
    x[2, 0] = 3e38
    got = np.square(ct.unpack("mxfp4", mx.search(x)).astype(np.float64) - x).sum(1)
    best = np.full(400, np.inf)
    for e in range(253):
        values = np.sort(mx.TABLE.astype(np.float64)) * 2.0 ** (e - 128)
        nearest = values[np.searchsorted((values[1:] + values[:-1]) / 2, x)]
        best = np.minimum(best, np.square(nearest - x).sum(1))
    assert (got <= best * (1 + 1e-6)).all()
    codes = mx.search(x)[:, 0].astype(int) - mx.pack(x)[:, 0]
    assert codes[0] == -1 and set(codes[3:]) == {0, 1}


def test_refuses_what_pack_refuses():
    with pytest.raises(ct.errors.ArgumentError, match="expected finite"):
        ct.pack("q4_0", np.full(32, np.nan), search=True)
