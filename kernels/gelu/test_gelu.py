"""gelu: every kernel against the reference, over all of float32; its symmetry; each refusal."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import SIZES, Case, adversarial_rows, check_kernel, non_finite_rows


def cases():
    every = np.arange(0, 2**32, 65537, dtype=np.uint64).astype(np.uint32).view(np.float32)
    yield Case("every 65537th float", (every,))
    yield Case("where it bends", (np.linspace(-14, 14, 20001, dtype=np.float32),))
    for width in (*SIZES, 4095, 4096, 4097):
        for name, x in (*adversarial_rows(width), *non_finite_rows(width)):
            yield Case(f"{name} {x.shape}", (x,))


def test_every_kernel():
    check_kernel("gelu", cases())


def test_difference_of_both_sides_is_x():  # gelu(x) - gelu(-x) = x
    x = np.linspace(0, 20, 999, dtype=np.float32)
    np.testing.assert_allclose(ops.gelu(x) - ops.gelu(-x), x, rtol=2e-7)


def test_x_must_be_f32():
    with pytest.raises(errors.ArgumentError, match="gelu: x is f16, expected f32"):
        ops.gelu(np.ones(4, np.float16))
