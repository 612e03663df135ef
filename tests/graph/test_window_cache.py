"""A layer with a window keeps what its queries can still see, and no bit of a result tells."""

import signal
from pathlib import Path

import cutaway as ct
import numpy as np
import pytest

GEMMA = Path(__file__).parents[1] / "data/tiny/gemma3/gemma3-BF16.gguf"  # window 64 on six layers of seven
IDS = np.random.default_rng(0).integers(3, 1000, 2600).astype(np.int32)
STEP, CHUNK = 512, 256  # csrc/run/cache.h, csrc/run/forward.cpp


@pytest.fixture(scope="module", params=["f16", "f32"])
def model(request):
    return ct.load(GEMMA, n_ctx=4096, kv=request.param)


def rows(session, layer):
    return len(session._core.cache(0, layer, False))


@pytest.fixture(scope="module")
def expected(model):
    """Logits of every token with every row kept: a hook makes the call go in one piece."""
    with model.session() as session:
        logits = session.forward([IDS], all_rows=True, hooks=[ct.hooks.Hook("embed", lambda act, hook: None)]).logits
        assert rows(session, 0) == len(IDS)
    return logits


def test_same_bits_as_with_every_row_kept(model, expected):
    with model.session() as session:
        got = session.forward([IDS], all_rows=True).logits
        assert rows(session, 0) < 64 + STEP + CHUNK < rows(session, 5) == len(IDS)
    np.testing.assert_array_equal(got, expected)


def test_token_by_token_and_in_odd_pieces(model, expected):
    with model.session() as session:
        at = 0
        for n in (700, 1, 1, 511, 3, 300, 900, 1, 183):
            got = session.forward([IDS[at : at + n]], all_rows=True).logits
            np.testing.assert_array_equal(got, expected[at : at + n])
            at += n
        assert at == len(IDS) and rows(session, 0) < 64 + STEP + CHUNK


def test_a_batch_of_unequal_lengths(model, expected):
    with model.session(sequences=3) as session:
        out = session.forward([IDS[:900], IDS, IDS[:5]], all_rows=True).logits
        np.testing.assert_array_equal(out, np.concatenate([expected[:900], expected, expected[:5]]))


def test_a_call_that_fails_leaves_the_rows_as_they_were(model, expected):
    """The rows that a long call drops come back when a signal ends it; on the slowest kernels it comes in time."""
    slow = ct.load(GEMMA, n_ctx=4096, kv=model.kv, target="scalar", threads=1)
    before_signals = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with slow.session() as session:
            session.forward([IDS[:1000]])
            held = [session._core.cache(0, layer, values) for layer in range(7) for values in (False, True)]
            with pytest.raises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.03)
                session.forward([np.resize(IDS, 3000)])
            now = [session._core.cache(0, layer, values) for layer in range(7) for values in (False, True)]
            for before, after in zip(held, now, strict=True):
                np.testing.assert_array_equal(after, before)
            np.testing.assert_array_equal(session.forward([IDS[1000:]], all_rows=True).logits, expected[1000:])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before_signals)


def test_fork_and_rewind(model, expected):
    with model.session() as session:
        session.forward([IDS[:2000]])
        other = session.fork()
        session.forward([IDS[2000:], []])
        np.testing.assert_array_equal(session.forward([[], IDS[2000:]], all_rows=True).logits, expected[2000:])
        assert session.length(other) == len(IDS)
        with pytest.raises(
            ct.errors.ArgumentError, match=r"cannot rewind to 100 tokens: layer 0 sees a window of 64 and"
        ):
            session.rewind(100)
        session.rewind(2590)
        got = session.forward([IDS[2590:], []], all_rows=True).logits
        np.testing.assert_array_equal(got, expected[2590:])


def test_scores_of_what_is_kept(model):
    names = ["blocks.0.attn.pattern", "blocks.5.attn.pattern"]
    with model.session() as session:
        session.forward([IDS[:2000]])
        out = session.forward([IDS[2000:2003]], watch=names, check_finite=True)
        local, full = (out.cache[name] for name in names)
        assert full.shape[-1] == 2003 and local.shape[-1] == rows(session, 0) < 2003
        np.testing.assert_allclose(local.sum(-1), 1, atol=1e-5)


def test_memory_is_what_the_plan_says(model):
    planned = ct.plan(GEMMA, n_ctx=4096, kv=model.kv).parts["kv_cache"]
    with model.session() as session:
        session.forward([np.resize(IDS, 4096)])
        assert session._core.cache_bytes() == planned
    everything = 2 * 7 * 32 * 4096 * (2 if model.kv == "f16" else 4)  # keys and values, layers, G E, positions, bytes
    assert planned < 0.4 * everything
