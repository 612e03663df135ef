"""q8_0: element j is the signed byte 2 + j."""

from cutaway.kernels.formats import checks

RAW = "0720e4bdc92b387987416c17ec90963ec766888ab4b80eba7c5cfd81121bea9cee18"


def bits(e):
    return [(2 + e, k) for k in range(8)]


def test_golden():
    checks.golden(
        "q8_0",
        RAW,
        [-0.22024536, -0.5270157, -0.43262482, 0.33823395],
        [-0.17304993, -0.7865906, -0.1415863, 0.18878174],
        "0f2e2c5914f8f2ac",
    )


def test_core_equals_numpy():
    checks.unpack("q8_0", checks.blocks("q8_0", [0]))


def test_equals_gguf():
    checks.as_gguf("q8_0", checks.blocks("q8_0", [0]))


def test_places_and_scales():
    for d in checks.SCALES:  # a code of 200 is the signed byte -56
        checks.places("q8_0", {0: checks.half(d)}, bits, lambda e, code, d=d: (code - 256 * (code > 127)) * d)


def test_round_trip():
    # worst seen 4.23e-3, half of 1/127 and the rounding of d
    assert checks.round_trip("q8_0") <= 4.5e-3
