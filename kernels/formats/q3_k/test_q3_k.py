"""q3_k: two bits as in q2_k from byte 32, the third bit of element 32 r + l is bit r of byte l."""

from cutaway.kernels.formats import checks

RAW = (
    "1097a55b5510543d27ed600de3200a6749307fd37899c118819af6674394c3f7aa5f93f32c810a37ca7bf1013ccdf8ab8ab4"
    "a6039954e84cbe3b3f7f1183c3df8375c517b4e786a9aadf7488f892b12191387ad86aca56d8531c927b931fe8f16e795b9b"
    "331767e712dbe8f5b51b"
)


def bits(e):
    n, t, l = e // 128, e % 128 // 32, e % 32
    return [(32 + 32 * n + l, 2 * t), (32 + 32 * n + l, 2 * t + 1), (l, 4 * n + t)]


def test_golden():
    checks.golden(
        "q3_k",
        RAW,
        [-0.10536957, 0.15805435, 0.15805435, 0.15805435],
        [-0.22579193, 0.0, 0.3386879, 0.3386879],
        "08d0df7556d13d4c",
    )


def test_core_equals_numpy():
    checks.unpack("q3_k", checks.blocks("q3_k", [108]))


def test_equals_gguf():
    checks.as_gguf("q3_k", checks.blocks("q3_k", [108]))


SC = [1, -1, 2, 31, -32, 0, 5, -7, 16, -17, 30, 3, -29, 13, 8, -2]


def six_bits(sc):
    """The 12 bytes, one scale at a time: where each bit lies, from the specification."""
    out = [0] * 12
    for i in range(16):
        stored = sc[i] + 32
        out[i % 8] |= stored % 16 << 4 * (i // 8)
        out[8 + i % 4] |= stored // 16 << 2 * (i // 4)
    return out


def test_places_and_scales():
    for d in checks.SCALES:
        fields = {96: six_bits(SC), 108: checks.half(d)}
        checks.places("q3_k", fields, bits, lambda e, code, d=d: (code - 4) * (d * SC[e // 16]))


def test_round_trip():
    # worst seen 0.25487: the largest is -4 steps, but 3 is the other end
    assert checks.round_trip("q3_k") <= 0.27
