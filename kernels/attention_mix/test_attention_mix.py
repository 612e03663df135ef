"""attention_mix: every kernel against the reference; what a pattern of zero hides; each refusal."""

import numpy as np
import pytest
from cutaway import _core, errors, ops
from cutaway.testing import Case, check_kernel

SHAPES = [  # T, S, H, G, E
    *[(2, 5, 2, 1, E) for E in (1, 15, 16, 17, 31, 32, 33, 127)],
    *[(2, S, 4, 2, 16) for S in (1, 15, 16, 17, 31, 32, 33)],
    (3, 127, 3, 3, 64),
    (1, 211, 9, 3, 64),
    (1, 4099, 1, 1, 80),
]


def inputs(T, S, H, G, E, seed=0):
    rng = np.random.default_rng(seed + S)
    pattern = rng.dirichlet(np.ones(S), (T, H)).astype(np.float32)
    return pattern, rng.standard_normal((S, G, E)).astype(np.float32)


def cases():
    for T, S, H, G, E in SHAPES:
        pattern, values = inputs(T, S, H, G, E)
        name = f"{T, S, H, G, E}"
        yield Case(name, (pattern, values))
        yield Case(f"{name} f16", (pattern, values.astype(np.float16)))
        yield Case(f"{name} large", (pattern, 1e4 * values))
        yield Case(f"{name} offset", (pattern, values + np.float32(1e4)))
        yield Case(f"{name} all equal", (np.full_like(pattern, 1 / S), np.full_like(values, 3.3)))
        yield Case(f"{name} subnormal", (pattern * np.float32(1e-20), values * np.float32(1e-20)))
        yield Case(f"{name} zeros", (np.zeros_like(pattern), values))
        outlier = values.copy()
        outlier[S // 2] = 1e20
        yield Case(f"{name} outlier", (pattern, outlier))
        for value in (np.nan, np.inf, -np.inf):
            broken = values.copy()
            broken[S // 2, 0, E // 2] = value
            yield Case(f"{name} one {value}", (pattern, broken))
        broken = pattern.copy()
        broken[0, 0, S // 2] = np.nan
        yield Case(f"{name} NaN in the pattern", (broken, values))


def test_every_kernel():
    check_kernel("attention_mix", cases())


def test_zero_hides_even_nan():
    pattern, values = inputs(2, 20, 2, 1, 16)
    pattern[:, :, 7] = 0
    hidden = values.copy()
    hidden[7] = np.nan
    np.testing.assert_array_equal(ops.attention_mix(pattern, hidden), ops.attention_mix(pattern, values))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("target", _core.targets())
def test_zero_hides_one_element_from_one_query(target, dtype):  # in each place of a vector, whatever the others see
    pattern, values = inputs(2, 70, 2, 1, 33)
    values = values.astype(dtype)
    for s in range(70):
        t, h, e = s % 2, s // 2 % 2, s * 8 % 33
        hiding, broken = pattern.copy(), values.copy()
        hiding[t, h, s], broken[s, 0, e] = 0, np.nan if s % 3 else -np.inf
        z = ops.attention_mix(hiding, broken, target=target)
        np.testing.assert_array_equal(z[t, h], ops.attention_mix(hiding, values, target=target)[t, h])
        np.testing.assert_array_equal(np.isfinite(z[..., e]).sum(), 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("G", [1, 2])
@pytest.mark.parametrize("target", _core.targets())
def test_zero_hides_nan_of_one_head_behind_a_number(target, G, dtype):  # in another 64 positions, which add up apart
    pattern, values = inputs(2, 150, 4, G, 33)
    pattern[..., [10, 100]] = 0
    hidden = values.astype(dtype)
    clean = ops.attention_mix(pattern, hidden, target=target)
    hidden[100, -1] = np.nan
    np.testing.assert_array_equal(ops.attention_mix(pattern, hidden, target=target), clean)


def test_one_position_is_its_value():
    _, values = inputs(1, 30, 4, 2, 33)
    pattern = np.zeros((1, 4, 30), np.float32)
    pattern[..., 11] = 1
    np.testing.assert_array_equal(ops.attention_mix(pattern, values)[0], np.repeat(values[11], 2, axis=0))


@pytest.mark.parametrize("target", _core.targets())
def test_every_f16_value(target):  # a pattern of one position shows its values as they are
    values = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(64, 1, 1024)
    for width in (1024, 1023):  # by whole vectors, and with a tail
        z = ops.attention_mix(np.eye(64, dtype=np.float32)[:, None], values[..., :width].copy(), target=target)
        np.testing.assert_array_equal(z, values[..., :width].astype(np.float32))


def test_refusals():
    pattern, values = inputs(2, 20, 4, 2, 16)
    with pytest.raises(errors.ShapeError, match="pattern has 3 heads and values 2, expected a multiple"):
        ops.attention_mix(pattern[:, :3], values)
    with pytest.raises(errors.ShapeError, match=r"values is \[19, 2, 16\], expected \[S, G, E\] with S = 20"):
        ops.attention_mix(pattern, values[:19])
    with pytest.raises(errors.ShapeError, match=r"pattern is \[8, 20\], expected \[T, H, S\]"):
        ops.attention_mix(pattern.reshape(8, 20), values)
    with pytest.raises(errors.ShapeError, match=r"values is \[20, 32\], expected \[S, G, E\] with S = 20"):
        ops.attention_mix(pattern, values.reshape(20, 32))
    with pytest.raises(errors.ShapeError, match="pattern has 4 heads and values 0, expected a multiple"):
        ops.attention_mix(pattern, values[:, :0])
