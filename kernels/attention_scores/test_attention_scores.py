"""attention_scores: every kernel against the reference; who sees whom; each refusal."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import Case, check_kernel

SHAPES = [  # T, S, H, G, E
    *[(2, 5, 2, 1, E) for E in (1, 15, 16, 17, 31, 32, 33, 127)],
    *[(S, S, 4, 2, 16) for S in (1, 15, 16, 17, 31, 32, 33)],
    (3, 127, 3, 3, 64),
    (1, 211, 9, 3, 64),
    (5, 133, 9, 3, 64),
]


def inputs(T, S, H, G, E, seed=0):
    rng = np.random.default_rng(seed + S)
    return rng.standard_normal((T, H, E)).astype(np.float32), rng.standard_normal((S, G, E)).astype(np.float32)


def cases():
    for T, S, H, G, E in SHAPES:
        q, keys = inputs(T, S, H, G, E)
        attributes = {"scale": E**-0.5}
        name = f"{T, S, H, G, E}"
        yield Case(name, (q, keys), (), attributes)
        yield Case(f"{name} f16", (q, keys.astype(np.float16)), (), attributes)
        yield Case(f"{name} window", (q, keys), (), {**attributes, "window": 1 + S // 3})
        yield Case(f"{name} large", (30 * q, 30 * keys), (), attributes)
        yield Case(f"{name} offset", (q + np.float32(100), keys + np.float32(100)), (), attributes)
        yield Case(f"{name} subnormal", (q * np.float32(1e-20), keys * np.float32(1e-20)), (), attributes)
        yield Case(f"{name} zeros", (np.zeros_like(q), keys), (), attributes)
        outlier = keys.copy()
        outlier[:, :, E // 2] = 1e4
        yield Case(f"{name} outlier", (q, outlier), (), attributes)
        for value in (np.nan, np.inf, -np.inf):
            broken = keys.copy()
            broken[S // 2, 0, E // 2] = value
            yield Case(f"{name} one {value}", (q, broken), (), attributes)


def test_every_kernel():
    check_kernel("attention_scores", cases())


def test_who_sees_whom():
    q, keys = np.ones((3, 1, 4), np.float32), np.ones((5, 1, 4), np.float32)
    seen = np.isfinite(ops.attention_scores(q, keys, scale=1.0)[:, 0])
    np.testing.assert_array_equal(seen, [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])
    seen = np.isfinite(ops.attention_scores(q, keys, scale=1.0, window=2)[:, 0])  # itself and one before
    np.testing.assert_array_equal(seen, [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]])


def test_query_heads_share_key_heads_in_runs():
    q, keys = np.ones((1, 6, 1), np.float32), np.array([[[1], [2]]], np.float32)
    np.testing.assert_array_equal(ops.attention_scores(q, keys, scale=1.0).ravel(), [1, 1, 1, 2, 2, 2])


def test_refusals():
    q, keys = inputs(3, 5, 4, 2, 8)
    with pytest.raises(errors.ShapeError, match="q has 4 heads and keys 3, expected a multiple"):
        ops.attention_scores(q, np.ones((5, 3, 8), np.float32), scale=1.0)
    with pytest.raises(errors.ShapeError, match=r"keys is \[5, 2, 7\], expected \[S, G, E\] with E = 8"):
        ops.attention_scores(q, np.ones((5, 2, 7), np.float32), scale=1.0)
    with pytest.raises(errors.ShapeError, match=r"keys is \[10, 8\], expected \[S, G, E\] with E = 8"):
        ops.attention_scores(q, keys.reshape(10, 8), scale=1.0)
    with pytest.raises(errors.ShapeError, match="q has 4 heads and keys 0, expected a multiple"):
        ops.attention_scores(q, keys[:, :0], scale=1.0)
    with pytest.raises(errors.ShapeError, match="keys has 2 positions, expected at least the 3 of q"):
        ops.attention_scores(q, keys[:2], scale=1.0)
    with pytest.raises(errors.ShapeError, match=r"q is \[12, 8\], expected \[T, H, E\]"):
        ops.attention_scores(q.reshape(12, 8), keys, scale=1.0)
    with pytest.raises(errors.ArgumentError, match="missing a required argument: 'scale'"):
        ops.attention_scores(q, keys)
    ops.attention_scores(q, keys, scale=1.0, window=2.0**53)  # the last of which all before are whole numbers
    for window in (-1, 0.5, np.nan, 2.0**54):
        with pytest.raises(errors.ArgumentError, match="window is"):
            ops.attention_scores(q, keys, scale=1.0, window=window)
    for scale in (np.inf, np.nan):
        with pytest.raises(errors.ArgumentError, match="scale is missing or not finite"):
            ops.attention_scores(q, keys, scale=scale)
