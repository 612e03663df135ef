"""q5_0: nibbles as in q4_0 from byte 6, the fifth bit of element j is bit j of the word at byte 2."""

from cutaway.kernels.formats import checks

RAW = "4b24c0e156f65a3322e791b880ee995e3f0d307d2fba"


def bits(e):
    return [(6 + e % 16, 4 * (e // 16) + k) for k in range(4)] + [(2 + e // 8, e % 8)]


def test_golden():
    checks.golden(
        "q5_0",
        RAW,
        [-0.100616455, -0.21800232, -0.23477173, -0.15092468],
        [0.050308228, 0.117385864, 0.03353882, 0.1844635],
        "1bc5566022f5572e",
    )


def test_core_equals_numpy():
    checks.unpack("q5_0", checks.blocks("q5_0", [0]))


def test_equals_gguf():
    checks.as_gguf("q5_0", checks.blocks("q5_0", [0]))


def test_places_and_scales():
    for d in checks.SCALES:
        checks.places("q5_0", {0: checks.half(d)}, bits, lambda e, code, d=d: (code - 16) * d)


def test_round_trip():
    # worst seen 0.06273: the largest is -16 d, but 15 d is the other end
    assert checks.round_trip("q5_0") <= 0.065
