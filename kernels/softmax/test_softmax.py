"""softmax: every kernel against the reference; rows add to one, masked entries are exactly zero; each refusal."""

import numpy as np
import pytest
from cutaway import _core, errors, ops
from cutaway.testing import SIZES, Case, adversarial_rows, assert_agrees, check_kernel, non_finite_rows


def cases():
    for width in (*SIZES, 4096):
        for name, x in (*adversarial_rows(width), *non_finite_rows(width)):
            yield Case(f"{name} {x.shape}", (x,))
        x = next(adversarial_rows(width))[1] * np.float32(30)
        yield Case(f"large scores {x.shape}", (x,))
        masked = x.copy()
        masked[:, width // 2 + 1 :] = -np.inf
        yield Case(f"masked {x.shape}", (masked,))
        sinks = np.float32([2.5])
        yield Case(f"sink {x.shape}", (x[:, None],), (sinks,))
        yield Case(f"sink above all, masked {x.shape}", (masked[:, None],), (sinks + 300,))
    three = np.random.default_rng(1).standard_normal((4, 3, 37)).astype(np.float32)
    yield Case("a sink a head", (three,), (np.float32([-3, 0, 4]),))
    yield Case("all masked", (np.full((2, 20), -np.inf, np.float32),))


def test_every_kernel():
    check_kernel("softmax", cases())


def test_rows_whose_sums_round_one_way():  # worst seen 4.29; 31 if only groups of 512 are added apart
    for width, value in ((442, -14.236174), (4096, -16.675312), (4096, -0.016904831), (4096, -0.5), (65536, -0.5)):
        row = np.full((1, width), value, np.float32)
        row[0, width // 2] = 0
        check_kernel("softmax", [Case(f"one 0, the others {value} {row.shape}", (row,))])


def test_rows_add_to_one_and_masked_is_zero():
    x = np.random.default_rng(0).standard_normal((7, 3, 211)).astype(np.float32)
    x[..., 100:120] = -np.inf
    y = ops.softmax(x)
    np.testing.assert_allclose(y.sum(axis=-1, dtype=np.float64), 1, atol=1e-6)
    assert (y[..., 100:120] == 0).all() and (y[..., :100] > 0).all()


@pytest.mark.parametrize("target", _core.targets())
def test_the_exp_of_simd_h(target):  # where 1 + exp(x) rounds to 1, softmax([0, x]) shows exp(x) itself
    x = np.linspace(-106, -17.4, 200_003, dtype=np.float32)
    seen = ops.softmax(np.stack([np.zeros_like(x), x], axis=-1), target=target)[:, 1]
    right = np.exp(x.astype(np.float64))
    assert_agrees(seen, right, right, units=2.8)  # worst seen 1.41; 1.42 over every float32, in simd.h
    assert (seen[x < -104] == 0).all() and (np.diff(seen) >= 0).all()


def test_a_nan_takes_its_whole_row_and_no_other():
    x = np.zeros((3, 40), np.float32)
    x[1, 39] = np.nan
    y = ops.softmax(x)
    assert np.isnan(y[1]).all() and np.isfinite(y[[0, 2]]).all()


def test_sinks_must_be_one_a_head():
    with pytest.raises(errors.ShapeError, match=r"sinks is \[2\], expected one for each head: \[H\] = \[3\]"):
        ops.softmax(np.ones((4, 3, 5), np.float32), np.ones(2, np.float32))
    with pytest.raises(errors.ShapeError, match=r"sinks is \[5\], expected one for each head: \[H\] = \[0\]"):
        ops.softmax(np.ones(5, np.float32), np.ones(5, np.float32))  # a row without heads


def test_rows_must_have_elements():
    with pytest.raises(errors.ShapeError, match=r"x is \[2, 0\]"):
        ops.softmax(np.ones((2, 0), np.float32))
