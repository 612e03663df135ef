"""scale: every kernel against the reference; the factor is a float32; each refusal."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import SIZES, Case, adversarial_rows, check_kernel, non_finite_rows


def cases():
    for width in (*SIZES, 4095, 4096, 4097):
        for name, x in (*adversarial_rows(width), *non_finite_rows(width)):
            yield Case(f"{name} {x.shape}", (x,), (), {"factor": 640**0.5})


def test_every_kernel():
    check_kernel("scale", cases())


def test_factor_must_be_finite():
    with pytest.raises(errors.ArgumentError, match="scale: factor is missing or not finite"):
        ops.scale(np.ones(4, np.float32), np.inf)
