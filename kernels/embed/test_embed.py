"""embed: the stored values of the rows asked for, in every format."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.kernels.formats import format as formats
from cutaway.testing import Case, check_kernel


@pytest.mark.parametrize("name", formats.names())
def test_rows(name):
    rng = np.random.default_rng(0)
    w = ops.Stored(name, formats.module(name).pack(rng.standard_normal((37, 256)).astype(np.float32)))
    check_kernel("embed", [Case(name, (np.array([0, 36, 15, 16, 17, 0], np.int32),), (w,))])


@pytest.mark.parametrize("bad", [-1, 37, 2**31 - 1])
def test_an_id_outside_is_refused(bad):
    with pytest.raises(errors.InvalidTokenId, match="expected 0 <= id < 37"):
        ops.embed(np.array([1, bad], np.int32), np.zeros((37, 32), np.float32))
