"""layer_norm: every kernel against the reference; the bits of the chain it fuses; large offsets; each refusal."""

import numpy as np
import pytest
from cutaway import _core, errors, ops, ref
from cutaway.testing import SIZES, Case, adversarial_rows, check_kernel, non_finite_rows


def cases():
    for width in SIZES:
        w, bias = np.random.default_rng(width).standard_normal((2, width)).astype(np.float32)
        for name, x in (*adversarial_rows(width), *non_finite_rows(width)):
            yield Case(f"{name} {x.shape}", (x,), (w, bias), {"eps": 1e-5})
        yield Case(f"no bias {x.shape}", (next(adversarial_rows(width))[1],), (w, None), {"eps": 1e-5})


def test_every_kernel():
    check_kernel("layer_norm", cases())


@pytest.mark.parametrize("target", _core.targets())
def test_same_bits_as_its_chain(target):
    for case in cases():
        (x,), (w, bias), eps = case.reads, case.weights, case.attributes["eps"]
        chain = ops.layer_normalize(x, ops.layer_scale(x, eps, target=target), target=target)
        chain = ops.gain(chain, w, bias, target=target)
        np.testing.assert_array_equal(ops.layer_norm(x, w, bias, eps, target=target), chain, err_msg=case.name)


def test_mean_10000_spread_1():  # mean(x^2) - mean(x)^2 in float32 would have no digit left; worst seen 2.5e-4
    x = (1e4 + np.random.default_rng(0).standard_normal((8, 768))).astype(np.float32)
    w = np.ones(768, np.float32)
    right = ref.layer_norm(x, w)
    assert np.linalg.norm(ops.layer_norm(x, w) - right) < 1e-3 * np.linalg.norm(right)


def test_w_and_bias_must_be_one_number_a_channel():
    x, right, wrong = np.ones((1, 4), np.float32), np.ones(4, np.float32), np.ones(3, np.float32)
    with pytest.raises(errors.ShapeError, match=r"w is \[3\], expected \[D\] = \[4\]"):
        ops.layer_norm(x, wrong, right)
    with pytest.raises(errors.ShapeError, match=r"bias is \[3\], expected \[D\] = \[4\]"):
        ops.layer_norm(x, right, wrong)


def test_eps_must_be_positive():
    with pytest.raises(errors.ArgumentError, match="layer_norm: eps is 0"):
        ops.layer_norm(np.ones((1, 4), np.float32), np.ones(4, np.float32), eps=0)
