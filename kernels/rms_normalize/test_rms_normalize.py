"""rms_normalize: every kernel against the reference; what it leaves invariant; each refusal."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import SIZES, Case, adversarial_rows, check_kernel, non_finite_rows


def cases():
    for width in SIZES:
        for name, x in (*adversarial_rows(width), *non_finite_rows(width)):
            yield Case(f"{name} {x.shape}", (x, ops.rms_scale(x, 1e-6)))


def test_every_kernel():
    check_kernel("rms_normalize", cases())


def test_rows_are_normal_after_it():
    x = np.random.default_rng(0).standard_normal((4, 576)).astype(np.float32)
    y = ops.rms_normalize(x, ops.rms_scale(x, 1e-12)).astype(np.float64)
    np.testing.assert_allclose(np.mean(y * y, axis=-1), 1, rtol=1e-6)


def test_one_scale_a_row():
    with pytest.raises(errors.ShapeError, match=r"scale is \[4, 2\], expected one number for each of the 4 rows"):
        ops.rms_normalize(np.ones((4, 8), np.float32), np.ones((4, 2), np.float32))
