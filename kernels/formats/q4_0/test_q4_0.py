"""q4_0: element j < 16 in the low nibble of byte 2 + j, element j + 16 in the high one."""

from cutaway.kernels.formats import checks

RAW = "a2a2ebcafe4363f82f4759778955f6ced681"


def bits(e):
    return [(2 + e % 16, 4 * (e // 16) + k) for k in range(4)]


def test_golden():
    checks.golden(
        "q4_0",
        RAW,
        [-0.038864136, -0.025909424, -0.07772827, 0.06477356],
        [-0.09068298, -0.051818848, -0.06477356, -0.0],
        "ee8805d186287fa3",
    )


def test_core_equals_numpy():
    checks.unpack("q4_0", checks.blocks("q4_0", [0]))


def test_equals_gguf():
    checks.as_gguf("q4_0", checks.blocks("q4_0", [0]))


def test_places_and_scales():
    for d in checks.SCALES:
        checks.places("q4_0", {0: checks.half(d)}, bits, lambda e, code, d=d: (code - 8) * d)


def test_round_trip():
    # worst seen 0.12522: the largest is -8 d, but 7 d is the other end
    assert checks.round_trip("q4_0") <= 0.13
