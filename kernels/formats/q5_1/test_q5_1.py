"""q5_1: nibbles as in q4_1 from byte 8, the fifth bit of element j is bit j of the word at byte 4."""

from cutaway.kernels.formats import checks

RAW = "6024bca21d43a78855638144eb6603f7b2725de11fe6ac2f"


def bits(e):
    return [(8 + e % 16, 4 * (e // 16) + k) for k in range(4)] + [(4 + e // 8, e % 8)]


def test_golden():
    checks.golden(
        "q5_1",
        RAW,
        [0.34573364, 0.038116455, 0.27737427, 0.3286438],
        [0.0039367676, 0.22610474, 0.15774536, 0.2944641],
        "ed832d2bf0f8d107",
    )


def test_core_equals_numpy():
    checks.unpack("q5_1", checks.blocks("q5_1", [0, 2]))


def test_equals_gguf():
    checks.as_gguf("q5_1", checks.blocks("q5_1", [0, 2]))


def test_places_scales_and_minimums():
    for d in checks.SCALES:
        for m in checks.SCALES:
            fields = {0: checks.half(d), 2: checks.half(m)}
            checks.places("q5_1", fields, bits, lambda e, code, d=d, m=m: code * d + m)


def test_round_trip():
    # worst seen 0.03241, half of 2/31
    assert checks.round_trip("q5_1") <= 0.034
