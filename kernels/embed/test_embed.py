"""embed: the stored values of the rows asked for, in every format."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.kernels.formats import format as formats
from cutaway.testing import Case, check_kernel


def cases():
    rng = np.random.default_rng(0)
    for name in formats.names():
        for D, scale in ((256, 1), (256, 0.3), (33, 1)) if formats.module(name).BLOCK == 1 else ((256, 1),):
            values = rng.standard_normal((37, D)).astype(np.float32) * np.float32(scale)  # below 2: packed in 15 bits
            w = ops.Stored(name, formats.module(name).pack(values))
            for ids in ([0, 36, 15, 16, 17, 0], [36], range(36, 3, -1)):
                yield Case(f"{name} T={len(ids)} D={D} times {scale}", (np.array(ids, np.int32),), (w,))


def test_every_kernel():
    check_kernel("embed", cases())


def test_every_scale_is_kept():  # float16 in the file and in the packed layout: subnormal, infinite, NaN
    raw = np.random.default_rng(0).integers(0, 256, (2**16, 34), dtype=np.uint8)
    raw[:, :2] = np.arange(2**16, dtype=np.uint16)[:, None].view(np.uint8)
    w = ops.Stored("q8_0", raw)
    np.testing.assert_array_equal(ops.embed(np.arange(2**16, dtype=np.int32), w), w.values)


@pytest.mark.parametrize("bad", [-1, 37, 2**31 - 1])
def test_an_id_outside_is_refused(bad):
    with pytest.raises(errors.InvalidTokenId, match="expected 0 <= id < 37"):
        ops.embed(np.array([1, bad], np.int32), np.zeros((37, 32), np.float32))
