"""q4_k: 64 elements in every 32 bytes from byte 16, the first 32 in the low nibbles."""

from cutaway.kernels.formats import checks

RAW = (
    "d49af6a435550ec0193a8bed1783d53ec944658d1d28960c44b0382e93438e60788d51e279a131f8130b3ea4bd2f5d95e57b"
    "d791436d840f4e6654608135bbfb885d346959a49b36402a4f3dcc489fb6511fbe09e5d72bf834e04fe028ca4991e02abd77"
    "279fedc206d2318ca8b8287a6f4b795209575d7277d456c0f6e81a0e584d730660f56bb8b588475f7066c1cd"
)


def bits(e):
    return [(16 + e // 64 * 32 + e % 32, 4 * (e // 32 % 2) + k) for k in range(4)]


def test_golden():
    checks.golden(
        "q4_k",
        RAW,
        [-1.1058731, -0.22235107, -0.39905548, -1.8126907],
        [-0.45866394, -0.25195312, -1.492218, -1.492218],
        "49ce7db4c9d9c389",
    )


def test_core_equals_numpy():
    checks.unpack("q4_k", checks.blocks("q4_k", [0, 2]))


def test_equals_gguf():
    checks.as_gguf("q4_k", checks.blocks("q4_k", [0, 2]))


# Different in every group, with bits in every one of the six places.
SC, MN = [1, 2, 4, 35, 16, 33, 63, 40], [8, 61, 32, 5, 62, 17, 34, 3]


def six_bits(sc, mn):
    """The 12 bytes, one scale and one minimum at a time: where each bit lies, from the specification."""
    out = [0] * 12
    for j in range(8):
        if j < 4:
            out[j] |= sc[j]
            out[j + 4] |= mn[j]
        else:
            out[j + 4] |= sc[j] % 16 + mn[j] % 16 * 16
            out[j - 4] |= sc[j] // 16 * 64
            out[j] |= mn[j] // 16 * 64
    return out


def test_places_scales_and_minimums():
    for d in checks.SCALES:
        for dmin in checks.SCALES:
            fields = {0: checks.half(d), 2: checks.half(dmin), 4: six_bits(SC, MN)}
            value = lambda e, code, d=d, dmin=dmin: code * (d * SC[e // 32]) - dmin * MN[e // 32]
            checks.places("q4_k", fields, bits, value)


def test_round_trip():
    # worst seen 0.06656, half of 2/15
    assert checks.round_trip("q4_k") <= 0.07
