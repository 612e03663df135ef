"""iq4_nl: nibbles as in q4_0 from byte 2, looked up."""

from cutaway.kernels.formats import checks

RAW = "63202ea1b0b2cbebdc33b8f80cbf564cb39c"


def bits(e):
    return [(2 + e % 16, 4 * (e // 16) + k) for k in range(4)]


def test_golden():
    checks.golden(
        "iq4_nl",
        RAW,
        [0.7625351, -0.89105225, -1.0881119, -0.71112823],
        [-0.29987335, -0.4198227, 0.32557678, 0.11138153],
        "0fb7f3bfd76b971a",
    )


def test_core_equals_numpy():
    checks.unpack("iq4_nl", checks.blocks("iq4_nl", [0]))


def test_equals_gguf():
    checks.as_gguf("iq4_nl", checks.blocks("iq4_nl", [0]))


TABLE = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]  # kvalues_iq4nl of ggml


def test_places_and_scales():
    for d in checks.SCALES:
        checks.places("iq4_nl", {0: checks.half(d)}, bits, lambda e, code, d=d: TABLE[code] * d)


def test_round_trip():
    # worst seen 0.11062, where the table ends at 113 of 127
    assert checks.round_trip("iq4_nl") <= 0.115
