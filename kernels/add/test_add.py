"""add: every kernel against the reference; the order of its arguments; each refusal."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import SIZES, Case, adversarial_rows, check_kernel, non_finite_rows


def cases():
    for width in (*SIZES, 4095, 4096, 4097):
        for name, x in (*adversarial_rows(width), *non_finite_rows(width)):
            yield Case(f"{name} {x.shape}", (x, x[::-1].copy()))


def test_every_kernel():
    check_kernel("add", cases())


def test_order_does_not_matter():
    x, y = np.random.default_rng(0).standard_normal((2, 3, 33)).astype(np.float32)
    np.testing.assert_array_equal(ops.add(x, y), ops.add(y, x))


def test_nothing_is_broadcast():
    with pytest.raises(errors.ShapeError, match=r"add: y is \[4\], expected \[2, 4\], the shape of x"):
        ops.add(np.ones((2, 4), np.float32), np.ones(4, np.float32))
