"""softcap: every kernel against the reference, over all of float32; what it leaves alone; each refusal."""

import numpy as np
import pytest
from cutaway import _core, errors, ops
from cutaway.testing import SIZES, Case, adversarial_rows, assert_agrees, check_kernel, non_finite_rows


def cases():
    every = np.arange(0, 2**32, 65537, dtype=np.uint64).astype(np.uint32).view(np.float32)
    for cap in (1.0, 30.0, 50.0):
        yield Case(f"every 65537th float, cap {cap}", (every,), (), {"cap": cap})
        yield Case(
            f"where it bends, cap {cap}", (np.linspace(-3 * cap, 3 * cap, 20001, dtype=np.float32),), (), {"cap": cap}
        )
    for width in (*SIZES, 4095, 4096, 4097):
        for name, x in (*adversarial_rows(width), *non_finite_rows(width)):
            yield Case(f"{name} {x.shape}", (x,), (), {"cap": 30.0})


def test_every_kernel():
    check_kernel("softcap", cases())


@pytest.mark.parametrize("target", _core.targets())
def test_the_tanh_of_simd_h(target):  # below 0.625 its polynomial alone, which a thousandth of a coefficient spoils
    x = np.linspace(-0.62499, 0.62499, 200_003, dtype=np.float32)
    right = np.tanh(x.astype(np.float64))
    assert_agrees(ops.softcap(x, 1.0, target=target), right, right, units=2)  # worst seen 1.22


def test_small_values_pass_and_large_ones_stop_at_cap():
    np.testing.assert_array_equal(
        ops.softcap(np.array([1e-6, 1e9, -1e9], np.float32), 30.0), np.float32([1e-6, 30, -30])
    )


def test_cap_must_be_above_zero():
    for cap in (0, -30):
        with pytest.raises(errors.ArgumentError, match=f"softcap: cap is {cap}.*expected a number above 0"):
            ops.softcap(np.ones(4, np.float32), cap)
    with pytest.raises(errors.ArgumentError, match="softcap: cap is missing or not finite"):
        ops.softcap(np.ones(4, np.float32), np.inf)
