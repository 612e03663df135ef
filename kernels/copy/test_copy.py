"""copy: every kernel, bit for bit, NaN and all."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import SIZES, Case, adversarial_rows, check_kernel, non_finite_rows


def cases():
    for width in (*SIZES, 4095, 4096, 4097):
        for name, x in (*adversarial_rows(width), *non_finite_rows(width)):
            yield Case(f"{name} {x.shape}", (x,))


def test_every_kernel():
    check_kernel("copy", cases())


def test_bits_are_kept():
    x = np.array([0x7FC12345, 0xFF800001, 0x80000000, 1], np.uint32).view(np.float32)
    np.testing.assert_array_equal(ops.copy(x).view(np.uint32), x.view(np.uint32))


def test_x_must_be_f32():
    with pytest.raises(errors.ArgumentError, match="copy: x is f16, expected f32"):
        ops.copy(np.ones(4, np.float16))
