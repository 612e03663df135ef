"""q2_k: 128 elements in 32 bytes, rows of 32 in bits 0, 2, 4, 6; scale and minimum of 16 in one byte."""

from cutaway.kernels.formats import checks

RAW = (
    "4d972299e8c7b41b9a1d2b0f180600a974d63b6332202c998e82b2522c49c4394c7d73265b6aaf61b288fbd0aecfa7666162"
    "23611e764c93aa388ffabd0a6a6412b209971e2d827076f7e49ab8fa19721823cca0"
)


def bits(e):
    n, t, l = e // 128, e % 128 // 32, e % 32
    return [(16 + 32 * n + l, 2 * t), (16 + 32 * n + l, 2 * t + 1)]


def test_golden():
    checks.golden(
        "q2_k",
        RAW,
        [0.037475586, 0.39770508, 0.5778198, 0.5778198],
        [0.3430786, 0.46777344, 0.093688965, 0.21838379],
        "0621ccf6fcbfcba2",
    )


def test_core_equals_numpy():
    checks.unpack("q2_k", checks.blocks("q2_k", [80, 82]))


def test_equals_gguf():
    checks.as_gguf("q2_k", checks.blocks("q2_k", [80, 82]))


SC = [1, 0, 2, 15, 8, 3, 5, 7, 4, 9, 10, 11, 12, 13, 14, 6]
MN = SC[::-1]


def test_places_scales_and_minimums():
    for d in checks.SCALES:
        for dmin in checks.SCALES:
            packed = [sc + 16 * mn for sc, mn in zip(SC, MN, strict=True)]
            fields = {0: packed, 80: checks.half(d), 82: checks.half(dmin)}
            value = lambda e, code, d=d, dmin=dmin: code * (d * SC[e // 16]) - dmin * MN[e // 16]
            checks.places("q2_k", fields, bits, value)


def test_round_trip():
    # worst seen 0.33146, half of 2/3
    assert checks.round_trip("q2_k") <= 0.35
