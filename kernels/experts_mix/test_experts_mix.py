"""experts_mix: every kernel against the reference; each refusal."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import SIZES, Case, check_kernel


def cases():
    rng = np.random.default_rng(0)
    for D in SIZES:
        for T, A in ((1, 1), (3, 4), (5, 9)):
            x, w = rng.standard_normal((T, A, D)).astype(np.float32), rng.random((T, A)).astype(np.float32)
            yield Case(f"{T, A, D}", (x, w))
            yield Case(f"{T, A, D} cancelling", (np.concatenate([x, -x], 1), np.concatenate([w, w], 1)))
            x[0, 0, D // 2] = np.nan
            yield Case(f"{T, A, D} one NaN", (x, w))


def test_every_kernel():
    check_kernel("experts_mix", cases())


def test_w_must_be_one_a_row():
    with pytest.raises(errors.ShapeError, match=r"w is \[2, 4\], expected \[2, 3\]"):
        ops.experts_mix(np.ones((2, 3, 5), np.float32), np.ones((2, 4), np.float32))
    with pytest.raises(errors.ShapeError, match=r"w is \[1, 3\], expected \[2, 3\]"):
        ops.experts_mix(np.ones((2, 3, 5), np.float32), np.ones((1, 3), np.float32))
    with pytest.raises(errors.ShapeError, match=r"x is \[2, 3\], expected \[T, A, D\]"):
        ops.experts_mix(np.ones((2, 3), np.float32), np.ones((2, 3), np.float32))
