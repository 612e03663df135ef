"""rms_norm: every kernel against the reference; the bits of the chain it fuses; each refusal."""

import numpy as np
import pytest
from cutaway import _core, errors, ops
from cutaway.testing import SIZES, Case, adversarial_rows, check_kernel, non_finite_rows


def cases():
    for width in SIZES:
        w = np.random.default_rng(width).standard_normal(width).astype(np.float32)
        for name, x in (*adversarial_rows(width), *non_finite_rows(width)):
            yield Case(f"{name} {x.shape}", (x,), (w,), {"eps": 1e-5})
    x = np.random.default_rng(1).standard_normal((5, 9, 64)).astype(np.float32)  # every head alone, as in qwen3
    yield Case("heads", (x,), (np.ones(64, np.float32),), {"eps": 1e-6})


def test_every_kernel():
    check_kernel("rms_norm", cases())


@pytest.mark.parametrize("target", _core.targets())
def test_same_bits_as_its_chain(target):
    for case in cases():
        (x,), (w,), eps = case.reads, case.weights, case.attributes["eps"]
        chain = ops.rms_normalize(x, ops.rms_scale(x, eps, target=target), target=target)
        chain = ops.gain(chain, w, target=target)
        np.testing.assert_array_equal(ops.rms_norm(x, w, eps, target=target), chain, err_msg=case.name)


def test_finite_rows_never_become_zeros():  # their squares overflow, and x / inf would be 0
    y = ops.rms_norm(np.full((1, 20), 3e20, np.float32), np.ones(20, np.float32))
    np.testing.assert_array_equal(y, 1)


def test_w_must_be_one_number_a_channel():
    with pytest.raises(errors.ShapeError, match=r"w is \[3\], expected \[D\] = \[4\]"):
        ops.rms_norm(np.ones((1, 4), np.float32), np.ones(3, np.float32))


def test_eps_must_be_positive():
    with pytest.raises(errors.ArgumentError, match="rms_norm: eps is 0"):
        ops.rms_norm(np.ones((1, 4), np.float32), np.ones(4, np.float32), eps=0)


def test_x_must_be_f32():
    with pytest.raises(errors.ArgumentError, match="x is f16, expected f32"):
        ops.rms_norm(np.ones((1, 4), np.float16), np.ones(4, np.float32))
