"""q4_1: element j < 16 in the low nibble of byte 4 + j, element j + 16 in the high one."""

from cutaway.kernels.formats import checks

RAW = "04953ea385452a44f318337f08cd1e614f235d3f"


def bits(e):
    return [(4 + e % 16, 4 * (e // 16) + k) for k in range(4)]


def test_golden():
    checks.golden(
        "q4_1",
        RAW,
        [-0.020267487, -0.020267487, -0.026390076, -0.019042969],
        [-0.019042969, -0.016593933, -0.020267487, -0.01781845],
        "bd756b3079b0075f",
    )


def test_core_equals_numpy():
    checks.unpack("q4_1", checks.blocks("q4_1", [0, 2]))


def test_equals_gguf():
    checks.as_gguf("q4_1", checks.blocks("q4_1", [0, 2]))


def test_places_scales_and_minimums():
    for d in checks.SCALES:
        for m in checks.SCALES:
            fields = {0: checks.half(d), 2: checks.half(m)}
            checks.places("q4_1", fields, bits, lambda e, code, d=d, m=m: code * d + m)


def test_round_trip():
    # worst seen 0.06612, half of 2/15
    assert checks.round_trip("q4_1") <= 0.07
