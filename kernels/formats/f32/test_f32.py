"""f32: four bytes, the number itself."""

import numpy as np
from cutaway.kernels.formats import checks

RAW = "2df5983ecc5b8cbed4fd63bf9ccae8be8cdc7dbf2359763d2c8cab3f7e02fcbe"


def test_golden():
    checks.golden(
        "f32",
        RAW,
        [0.29874554, -0.27413785, -0.89059186, -0.4546708],
        [-0.9916465, 0.0601436, 1.3402152, -0.4922065],
        "1e173e72438f2310",
    )


def test_core_equals_numpy():
    checks.unpack("f32", checks.blocks("f32", []))


def test_equals_gguf():
    checks.as_gguf("f32", checks.blocks("f32", []))


def test_values():
    values = [0.0, -0.0, 1.5, 2.0**-149, -(2.0**-126), np.inf, -np.inf, np.nan, 3.4028235e38]
    raw = np.array(values, "<f4").view(np.uint8)[None]
    checks.same(checks.unpack("f32", raw), [values], "f32")


def test_round_trip():
    # worst seen 0
    assert checks.round_trip("f32") <= 0
