"""swiglu_oai: every kernel against the reference; where it is cut off and where not; each refusal."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import SIZES, Case, adversarial_rows, check_kernel, non_finite_rows

NUMBERS = {"alpha": 1.702, "limit": 7.0}


def cases():
    every = np.arange(0, 2**32, 65537, dtype=np.uint64).astype(np.uint32).view(np.float32)
    yield Case("every 65537th float as gate", (every, np.full_like(every, 0.5)), (), NUMBERS)
    yield Case("every 65537th float as up", (np.full_like(every, 0.5), every), (), NUMBERS)
    bend = np.linspace(-100, 20, 20001, dtype=np.float32)
    yield Case("where it bends", (bend, np.cos(bend)), (), NUMBERS)
    yield Case("up near -1", (bend, -1 + 1e-3 * np.cos(bend)), (), NUMBERS)
    for width in (*SIZES, 4095, 4096, 4097):
        for name, x in (*adversarial_rows(width), *non_finite_rows(width)):
            yield Case(f"{name} {x.shape}", (x, x[::-1].copy()), (), NUMBERS)


def test_every_kernel():
    check_kernel("swiglu_oai", cases())


def test_gate_is_cut_above_only_and_up_on_both_sides():
    y = lambda pre, linear: ops.swiglu_oai(np.float32([pre]), np.float32([linear]))[0]
    assert y(9, 1) == y(7, 1) != y(6.9, 1)
    assert y(-9, 1) != y(-7, 1)
    assert y(1, 9) == y(1, 7) != y(1, 6.9)
    assert y(1, -9) == y(1, -7) != y(1, -6.9)
    assert y(0.5, -1) == 0  # up + 1


def test_refusals():
    x = np.ones(4, np.float32)
    with pytest.raises(errors.ShapeError, match=r"pre_linear is \[3\], expected \[4\], the shape of pre"):
        ops.swiglu_oai(x, x[:3])
    with pytest.raises(errors.ArgumentError, match="limit is 0.*expected a number above 0"):
        ops.swiglu_oai(x, x, limit=0)
    for name in ("alpha", "limit"):
        with pytest.raises(errors.ArgumentError, match=f"{name} is missing or not finite"):
            ops.swiglu_oai(x, x, **{name: np.inf})
