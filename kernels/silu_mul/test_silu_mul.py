"""silu_mul: every kernel against the reference, over all of float32; its symmetry; each refusal."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import SIZES, Case, adversarial_rows, check_kernel, non_finite_rows


def cases():
    every = np.arange(0, 2**32, 65537, dtype=np.uint64).astype(np.uint32).view(np.float32)
    yield Case("every 65537th float", (every, np.ones_like(every)))
    bend = np.linspace(-100, 100, 20001, dtype=np.float32)
    yield Case("where it bends", (bend, np.cos(bend)))
    for width in (*SIZES, 4095, 4096, 4097):
        for name, x in (*adversarial_rows(width), *non_finite_rows(width)):
            yield Case(f"{name} {x.shape}", (x, x[::-1].copy()))


def test_every_kernel():
    check_kernel("silu_mul", cases())


def test_difference_of_both_sides_is_x():  # silu(x) - silu(-x) = x
    x = np.linspace(0, 100, 999, dtype=np.float32)
    one = np.ones_like(x)
    np.testing.assert_allclose(ops.silu_mul(x, one) - ops.silu_mul(-x, one), x, rtol=2e-7)


def test_shapes_must_agree():
    with pytest.raises(errors.ShapeError, match=r"pre_linear is \[3\], expected \[4\], the shape of pre"):
        ops.silu_mul(np.ones(4, np.float32), np.ones(3, np.float32))


def test_both_must_be_f32():
    x = np.ones(4, np.float32)
    with pytest.raises(errors.ArgumentError, match="silu_mul: pre is f16, expected f32"):
        ops.silu_mul(x.astype(np.float16), x)
    with pytest.raises(errors.ArgumentError, match="silu_mul: pre_linear is f16, expected f32"):
        ops.silu_mul(x, x.astype(np.float16))
