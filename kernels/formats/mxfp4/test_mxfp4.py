"""mxfp4: a power of two, then nibbles as in q4_0 from byte 1."""

import numpy as np
from cutaway.kernels.formats import checks
from cutaway.kernels.formats.mxfp4 import mxfp4

RAW = "79cb25b30760b2d073813de54e93e0ba77"


def bits(e):
    return [(1 + e % 16, 4 * (e // 16) + k) for k in range(4)]


def test_golden():
    checks.golden(
        "mxfp4",
        RAW,
        [-0.0234375, 0.046875, 0.0234375, 0.09375],
        [-0.0078125, -0.0625, -0.0234375, 0.09375],
        "b8279c067e092fe3",
    )


def test_core_equals_numpy():
    checks.unpack("mxfp4", checks.blocks("mxfp4", []))


def test_equals_gguf():
    checks.as_gguf("mxfp4", checks.blocks("mxfp4", []))


def test_every_scale():
    raw = checks.blocks("mxfp4", [])
    raw[:256, 0] = np.arange(256)
    checks.as_gguf("mxfp4", raw)


def test_places_and_scales():
    # 0 and 1: the halved scale is subnormal. 252: the last with no overflow. 253 and 254: codes 6, 7 and 4 to 7 are
    # infinite. 255: NaN in the OCP specification, 2^128 here as in ggml.
    values = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    for e in [0, 1, 2, 126, 127, 128, 252, 253, 254, 255]:
        table = [v * 2.0 ** (e - 127) for v in values] + [-v * 2.0 ** (e - 127) or 0.0 for v in values]
        checks.places("mxfp4", {0: [e]}, bits, lambda _, code, table=table: table[code])


def test_step_is_what_codes_count_in():
    raw = checks.blocks("mxfp4", [])
    raw[:253, 0] = np.arange(253)
    codes = mxfp4.spread(raw[:253]) / mxfp4.step(raw[:253])
    assert set(np.unique(codes)) == {0, 1, 2, 3, 4, 6, 8, 12}
    assert mxfp4.step(raw[:1])[0, 0] == 2.0**-128


def test_round_trip():
    # worst seen 0.24958: 6 is the largest of E2M1, and a block reaches 8 - eps
    assert checks.round_trip("mxfp4") <= 0.26


def test_pack_of_numbers_too_small_for_the_scale():
    tiny = np.full((1, 32), 2.0**-140, np.float32)  # gguf's quantiser wraps its scale around to 2^126 here
    assert np.abs(checks.unpack("mxfp4", mxfp4.pack(tiny))).max() <= 2.0**-127
