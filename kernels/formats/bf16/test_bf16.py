"""bf16: every one of its 65536 patterns."""

import numpy as np
from cutaway.kernels.formats import checks
from cutaway.kernels.formats import format as reference

RAW = "f3bfa5bfebbf70bea2bf8a3e203e3fbe"


def test_golden():
    checks.golden(
        "bf16",
        RAW,
        [-1.8984375, -1.2890625, -1.8359375, -0.234375],
        [-1.265625, 0.26953125, 0.15625, -0.18652344],
        "1a4e2a597c3f84ec",
    )


def test_core_equals_numpy():
    checks.unpack("bf16", np.arange(65536, dtype="<u2").view(np.uint8).reshape(1, -1))


def test_equals_gguf():
    checks.as_gguf("bf16", np.arange(65536, dtype="<u2").view(np.uint8).reshape(1, -1))


def test_values():
    values = [0.0, -0.0, 1.5, 2.0**-133, -(2.0**-126), np.inf, -np.inf, np.nan, 255 * 2.0**120]
    bits = [0x0000, 0x8000, 0x3FC0, 0x0001, 0x8080, 0x7F80, 0xFF80, 0x7FC0, 0x7F7F]
    checks.same(checks.unpack("bf16", np.array(bits, "<u2").view(np.uint8)[None]), [values], "bf16")


def test_round_trip():
    # worst seen 3.84e-3, half of 2^-7
    assert checks.round_trip("bf16") <= 4e-3


def test_pack_rounds_to_even_and_keeps_nan():
    x = np.array([[1 + 2.0**-8, 1 + 3 * 2.0**-8, 3.4e38, np.inf, np.nan]], np.float32)
    x = np.append(x, np.array([[0x7F800001]], np.uint32).view(np.float32), axis=1)  # NaN only in the lower half
    expected = [[1, 1 + 2.0**-6, np.inf, np.inf, np.nan, np.nan]]
    checks.same(checks.unpack("bf16", reference.pack("bf16", x)), expected, "bf16 packed")
