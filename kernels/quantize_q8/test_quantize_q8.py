"""quantize_q8: the very bits of its reference, on every target."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.kernels.quantize_q8 import quantize_q8 as definition
from cutaway.testing import Case, adversarial_rows, check_kernel, non_finite_rows


def cases():
    for width in (32, 64, 576, 1536):
        yield from adversarial_rows(width)
        yield from non_finite_rows(width)
    tiny = np.full((1, 32), 2.0**-149, np.float32)
    yield "smallest subnormal", tiny
    smallest = np.full((2, 32), 127 * 2.0**-126, np.float32)  # whose d is the smallest normal, and the one below it
    smallest[1] = np.nextafter(smallest[1], np.float32(0))
    yield "smallest d", smallest
    yield "largest", np.full((1, 32), np.finfo(np.float32).max, np.float32)
    yield "ties", (np.arange(64, dtype=np.float32).reshape(1, 64) + np.float32(0.5)) * np.float32(127 / 63.5)


def test_every_kernel():
    check_kernel("quantize_q8", [Case(f"{name} {x.shape}", (x,)) for name, x in cases()])


def test_rounding_is_within_half_a_step():
    x = np.random.default_rng(0).standard_normal((5, 576)).astype(np.float32)
    blocks = definition.reference(x)
    step = np.repeat(blocks["d"], 32, axis=1).reshape(x.shape)
    assert (np.abs(definition.dequantize(blocks) - x) <= step * 0.5001).all()


def test_rounding_leans_neither_up_nor_outwards():
    """So it costs a model what errors of its size cost, and no more (measured in tests/models/test_gemma3_270m.py)."""
    rng = np.random.default_rng(0)
    for x in (rng.standard_normal((400, 1024)), rng.standard_t(3, (400, 1024))):
        blocks = ops.quantize_q8(x := x.astype(np.float32))
        error = definition.dequantize(blocks) - x
        steps = error / np.repeat(blocks["d"].astype(np.float64), 32, axis=1)
        assert abs(steps.mean()) < 0.0018  # worst seen 0.00045, which is chance: 0.29 / sqrt(400 * 1024)
        assert abs((error * x).sum() / (x.astype(np.float64) ** 2).sum()) < 7e-5  # worst seen 1.7e-5


def test_refuses_rows_that_are_no_whole_blocks():
    with pytest.raises(errors.ShapeError, match="multiple of 32"):
        ops.quantize_q8(np.zeros((2, 33), np.float32))
