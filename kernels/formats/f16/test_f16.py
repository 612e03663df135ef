"""f16: every one of its 65536 patterns."""

import numpy as np
from cutaway.kernels.formats import checks
from cutaway.kernels.formats import format as reference

RAW = "f7b8d637b635bf2e72bb7da7903960bd"


def test_golden():
    checks.golden(
        "f16",
        RAW,
        [-0.62060547, 0.4897461, 0.3569336, 0.105407715],
        [-0.93066406, -0.029251099, 0.6953125, -1.34375],
        "d165197c8d92be24",
    )


def test_core_equals_numpy():
    checks.unpack("f16", np.arange(65536, dtype="<u2").view(np.uint8).reshape(1, -1))


def test_equals_gguf():
    checks.as_gguf("f16", np.arange(65536, dtype="<u2").view(np.uint8).reshape(1, -1))


def test_values():
    values = [0.0, -0.0, 1.5, 2.0**-24, -1023 * 2.0**-24, 2.0**-14, 65504, np.inf, -np.inf, np.nan]
    bits = [0x0000, 0x8000, 0x3E00, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0x7C00, 0xFC00, 0x7E00]
    checks.same(checks.unpack("f16", np.array(bits, "<u2").view(np.uint8)[None]), [values], "f16")


def test_round_trip():
    # worst seen 4.7e-4, half of 2^-10
    assert checks.round_trip("f16") <= 5e-4


def test_pack_rounds_to_even_and_overflows_to_infinity():
    x = np.array([[1 + 2.0**-11, 1 + 3 * 2.0**-11, 65519, 65520, 2.0**-25, 3 * 2.0**-26]], np.float32)
    expected = [[1, 1 + 2.0**-9, 65504, np.inf, 0, 2.0**-24]]
    checks.same(checks.unpack("f16", reference.pack("f16", x)), expected, "f16 packed")
