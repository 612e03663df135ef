"""ct.kl against a plain computation on whole logits, its windows, its verdict, what it refuses."""

import math
from pathlib import Path

import cutaway as ct
import numpy as np
import pytest
from cutaway.errors import ArgumentError

LLAMA_K = Path(__file__).parents[1] / "data" / "tiny" / "llama-k"


@pytest.fixture(scope="module")
def pair():
    return ct.load(LLAMA_K / "llama-k-Q4_K.gguf", numerics="exact"), ct.load(LLAMA_K / "hf", numerics="exact")


@pytest.fixture(scope="module")
def ids():
    return np.load(LLAMA_K / "golden.npz")["long_ids"].astype(np.int32)


def log_softmax(x):
    x = x.astype(np.float64)
    return x - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)) - x.max(-1, keepdims=True)


def test_the_numbers_are_those_of_whole_logits(pair, ids):
    a, b = pair
    got = ct.kl(a, b, ids)
    p, q = (log_softmax(m.run(ids)[0, :-1]) for m in pair)
    rows = np.arange(len(ids) - 1)
    nll_a, nll_b = -p[rows, ids[1:]], -q[rows, ids[1:]]
    divergence = (np.exp(q) * (q - p)).sum(-1)
    n = len(rows)
    assert got.tokens == n == 299
    for name, want in {
        "nll_a": nll_a.mean(), "nll_b": nll_b.mean(), "difference": (nll_a - nll_b).mean(),
        "difference_error": (nll_a - nll_b).std(ddof=1) / math.sqrt(n), "kl": divergence.mean(),
        "kl_error": divergence.std(ddof=1) / math.sqrt(n), "same_top": (p.argmax(-1) == q.argmax(-1)).mean(),
    }.items():  # fmt: skip
        assert getattr(got, name) == pytest.approx(want, rel=1e-9, abs=1e-12), name
    assert got.kl_percentiles["50"] == pytest.approx(np.median(divergence))
    assert got.kl_percentiles["100"] == pytest.approx(divergence.max())
    assert got.difference != ct.kl(b, a, ids).difference and got.kl != ct.kl(b, a, ids).kl > 0


def test_verdicts(pair, ids):
    a, b = pair
    got = ct.kl(a, b, ids)
    assert got.within == (got.difference <= math.log(1.01)) and bool(got) == got.within
    exact = got.difference
    for limit in (0.0, 0.5):
        one = ct.kl(a, b, ids, limit=limit)
        assert one.within == (exact <= math.log1p(limit))
        assert one.certain == (abs(exact - math.log1p(limit)) > 1.96 * got.difference_error)
    assert ct.kl(a, b, ids, limit=0.5).certain and "is within 50 % of" in ct.kl(a, b, ids, limit=0.5).summary()
    assert ct.kl(a, b, ids[:3]).to_dict()["ppl_a"] == pytest.approx(math.exp(ct.kl(a, b, ids[:3]).nll_a))
    worse = ct.kl(ct.load(LLAMA_K / "llama-k-Q4_0.gguf"), b, ids, limit=0.0)
    assert "NOT within 0 %" in worse.summary() and not worse and "too short to be sure" in worse.summary()


def test_the_same_model_loses_nothing(pair, ids):
    got = ct.kl(pair[1], pair[1], ids)
    assert (got.difference, got.difference_error, got.kl, got.same_top) == (0, 0, 0, 1)


def test_windows_begin_anew(pair, ids):
    """Pieces of ids as they are; of a text, each with the BOS in front."""
    a, b = pair
    got, seen = ct.kl(a, b, ids, window=100), []
    parts = [ct.kl(a, b, ids[at : at + 100]) for at in (0, 100, 200)]
    assert got.tokens == 297 and got.nll_a == pytest.approx(np.mean([p.nll_a for p in parts]))
    ct.kl(a, b, [ids[:100].tolist(), ids[100:].tolist()], progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (298, 298)
    text = "In the beginning God created the heaven and the earth."
    m = ct.load("tiny:llama")
    tokens = m.to_tokens(text)
    assert tokens.bos_added
    with_bos = [np.concatenate([tokens.ids[:1], tokens.ids[at : at + 7]]) for at in range(1, len(tokens), 7)]
    want = np.concatenate([m.score(piece) for piece in with_bos if len(piece) > 1])
    got = ct.kl(m, m, text, window=8)
    assert got.tokens == len(want) == len(tokens) - 1 and got.nll_a == pytest.approx(-want.mean())


def test_refusals(pair, ids):
    a, b = pair
    with pytest.raises(ArgumentError, match="kl compares two models, got 'a.gguf'"):
        ct.kl("a.gguf", a, ids)
    with pytest.raises(ArgumentError, match="no token is predicted"):
        ct.kl(a, b, ids[:1])
    with pytest.raises(ArgumentError, match="window is 1, expected 2 to 512"):
        ct.kl(a, b, ids, window=1)
    with pytest.raises(ArgumentError, match="limit is -1"):
        ct.kl(a, b, ids, limit=-1)
    with pytest.raises(ArgumentError, match="cuts the text into"):
        ct.kl(ct.load("tiny:llama"), ct.load("tiny:gpt2"), "In 1611")
