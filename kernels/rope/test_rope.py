"""rope: every kernel against the reference; what a turn preserves; far positions; each refusal."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import Case, assert_agrees, check_kernel


def frequencies(half, base=1e4):
    return base ** (-np.arange(half) / max(half, 1))


def cases():
    rng = np.random.default_rng(0)
    for T, H, E, half in [
        *[(3, 2, 2 * half, half) for half in (1, 15, 16, 17, 31, 32, 33, 127)],
        *[(5, 9, 64, 32), (1, 3, 64, 32), (2, 3, 96, 24), (2, 2, 67, 33), (2, 2, 64, 0)],
    ]:
        x = rng.standard_normal((T, H, E)).astype(np.float32)
        near, far = np.arange(T, dtype=np.int32), np.full(T, 131071, np.int32)
        yield Case(f"near {x.shape} {half}", (x, near), (frequencies(half),))
        yield Case(f"far {x.shape} {half}", (x, far), (frequencies(half, 5e5),), {"attention_factor": 1.19})
        yield Case(f"subnormal {x.shape} {half}", (x * np.float32(1e-39), far), (frequencies(half),))
        outlier = x.copy()
        outlier[..., E // 2] = 1e30
        yield Case(f"one outlier {x.shape} {half}", (outlier, far), (frequencies(half),))
        for value in (np.nan, np.inf, -np.inf):
            broken = x.copy()
            broken[0, 0, 0] = value
            yield Case(f"one {value} {x.shape} {half}", (broken, near + 1), (frequencies(half),))


def test_every_kernel():
    check_kernel("rope", cases())


def test_position_zero_changes_nothing():
    x = np.random.default_rng(0).standard_normal((1, 3, 64)).astype(np.float32)
    np.testing.assert_array_equal(ops.rope(x, np.zeros(1, np.int32), frequencies(32)), x)


def test_scores_depend_on_distance_only():
    q, k = np.random.default_rng(0).standard_normal((2, 1, 1, 64)).astype(np.float32)
    at = lambda x, p: ops.rope(x, np.array([p], np.int32), frequencies(32)).ravel().astype(np.float64)
    np.testing.assert_allclose(at(q, 17) @ at(k, 3), at(q, 100017) @ at(k, 100003), atol=1e-5)


def test_channels_beyond_the_frequencies_pass():
    x = np.random.default_rng(0).standard_normal((2, 3, 64)).astype(np.float32)
    y = ops.rope(x, np.array([5, 6], np.int32), frequencies(8))
    np.testing.assert_array_equal(y[..., 16:], x[..., 16:])
    assert (y[..., :16] != x[..., :16]).all()


def test_kept_turns_are_those_of_their_own_position_and_frequencies():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 2, 64)).astype(np.float32)
    positions = np.int32([3, 259, 515, 3])  # share a place
    definition = ops.definition("rope")
    for base in (1e4, 1e5, 2e5, 3e5, 5e5, 1e6, 1e4):  # more tables than are kept
        for call in ((x, positions, frequencies(32, base), 1.0), (x, positions, frequencies(32, base), 1.2)):
            expected, magnitude = definition.reference(*call), definition.magnitude(*call)
            assert_agrees(ops.rope(*call[:3], attention_factor=call[3]), expected, magnitude, definition.UNITS)


def test_refusals():
    x, positions = np.ones((2, 3, 8), np.float32), np.arange(2, dtype=np.int32)
    with pytest.raises(errors.ShapeError, match=r"frequencies is \[5\], expected at most half of E = 8"):
        ops.rope(x, positions, frequencies(5))
    with pytest.raises(errors.ShapeError, match=r"positions is \[3\], expected one for each of the 2 tokens"):
        ops.rope(x, np.arange(3, dtype=np.int32), frequencies(4))
    with pytest.raises(errors.ShapeError, match=r"positions is \[2, 1\], expected one for each of the 2 tokens"):
        ops.rope(x, positions[:, None], frequencies(4))
    with pytest.raises(errors.ShapeError, match=r"frequencies is \[2, 2\], expected at most half of E = 8"):
        ops.rope(x, positions, frequencies(4).reshape(2, 2))
    with pytest.raises(errors.ShapeError, match=r"x is \[2, 24\], expected \[T, H, E\]"):
        ops.rope(x.reshape(2, 24), positions, frequencies(4))
    for t in (0, 1):
        with pytest.raises(errors.ArgumentError, match=rf"positions\[{t}\] is -1, expected 0 or more"):
            ops.rope(x, np.where(np.arange(2) == t, -1, 0).astype(np.int32), frequencies(4))
    with pytest.raises(errors.ArgumentError, match="positions holds float64 values that int32 cannot hold"):
        ops.rope(x, np.array([0, 0.5]), frequencies(4))
