"""gain: every kernel against the reference, with and without bias; each refusal."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import SIZES, Case, adversarial_rows, check_kernel, non_finite_rows


def cases():
    for width in SIZES:
        w, bias = np.random.default_rng(width).standard_normal((2, width)).astype(np.float32)
        for name, x in (*adversarial_rows(width), *non_finite_rows(width)):
            yield Case(f"{name} {x.shape}", (x,), (w, bias))
            yield Case(f"{name} {x.shape}, no bias", (x,), (w, None))


def test_every_kernel():
    check_kernel("gain", cases())


def test_ones_change_nothing():
    x = np.random.default_rng(0).standard_normal((3, 33)).astype(np.float32)
    np.testing.assert_array_equal(ops.gain(x, np.ones(33, np.float32)), x)


def test_w_and_bias_must_be_one_number_a_channel():
    x, right, wrong = np.ones((2, 4), np.float32), np.ones(4, np.float32), np.ones((2, 4), np.float32)
    with pytest.raises(errors.ShapeError, match=r"gain: w is \[2, 4\], expected \[D\] = \[4\]"):
        ops.gain(x, wrong, right)
    with pytest.raises(errors.ShapeError, match=r"gain: bias is \[2, 4\], expected \[D\] = \[4\]"):
        ops.gain(x, right, wrong)
