"""layer_scale: every kernel against the reference; a row of zeros; each refusal."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import SIZES, Case, adversarial_rows, check_kernel, non_finite_rows


def cases():
    for width in SIZES:
        for name, x in (*adversarial_rows(width), *non_finite_rows(width)):
            yield Case(f"{name} {x.shape}", (x,), (), {"eps": 1e-5})


def test_every_kernel():
    check_kernel("layer_scale", cases())


def test_zeros_give_the_root_of_eps():
    scale = ops.layer_scale(np.zeros((2, 3, 20), np.float32), eps=0.25)
    assert scale.shape == (2, 3, 1) and (scale == 0.5).all()


@pytest.mark.parametrize("eps", [0.0, -1e-6, 1e-39, np.inf, np.nan])
def test_eps_must_be_a_positive_float32(eps):
    with pytest.raises(errors.ArgumentError, match="layer_scale: eps is"):
        ops.layer_scale(np.ones((1, 4), np.float32), eps=eps)


@pytest.mark.parametrize("eps", [np.finfo(np.float32).tiny, np.finfo(np.float32).max])
def test_the_smallest_and_the_largest_eps(eps):
    assert ops.layer_scale(np.zeros((1, 4), np.float32), eps=float(eps)) == np.sqrt(np.float32(eps))


def test_rows_must_have_elements():
    with pytest.raises(errors.ShapeError, match=r"x is \[2, 0\]"):
        ops.layer_scale(np.ones((2, 0), np.float32))
    with pytest.raises(errors.ShapeError, match=r"x is \[\], expected rows"):
        ops.layer_scale(np.float32(1))
