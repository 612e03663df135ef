"""gelu_mul: every kernel against the reference, over all of float32; the bits of gelu; each refusal."""

import numpy as np
import pytest
from cutaway import _core, errors, ops
from cutaway.testing import SIZES, Case, adversarial_rows, check_kernel, non_finite_rows


def cases():
    every = np.arange(0, 2**32, 65537, dtype=np.uint64).astype(np.uint32).view(np.float32)
    yield Case("every 65537th float", (every, np.ones_like(every)))
    bend = np.linspace(-14, 14, 20001, dtype=np.float32)
    yield Case("where it bends", (bend, np.cos(bend)))
    for width in (*SIZES, 4095, 4096, 4097):
        for name, x in (*adversarial_rows(width), *non_finite_rows(width)):
            yield Case(f"{name} {x.shape}", (x, x[::-1].copy()))


def test_every_kernel():
    check_kernel("gelu_mul", cases())


@pytest.mark.parametrize("target", _core.targets())
def test_is_gelu_times_the_linear_half(target):
    pre, linear = np.random.default_rng(0).standard_normal((2, 999)).astype(np.float32)
    got = ops.gelu_mul(pre, linear, target=target)
    np.testing.assert_array_equal(got, ops.gelu(pre, target=target) * linear)


def test_shapes_must_agree():
    with pytest.raises(errors.ShapeError, match=r"pre_linear is \[3\], expected \[4\], the shape of pre"):
        ops.gelu_mul(np.ones(4, np.float32), np.ones(3, np.float32))


def test_both_must_be_f32():
    x = np.ones(4, np.float32)
    with pytest.raises(errors.ArgumentError, match="gelu_mul: pre is f16, expected f32"):
        ops.gelu_mul(x.astype(np.float16), x)
    with pytest.raises(errors.ArgumentError, match="gelu_mul: pre_linear is f16, expected f32"):
        ops.gelu_mul(x, x.astype(np.float16))
