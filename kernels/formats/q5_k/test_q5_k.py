"""q5_k: nibbles as in q4_k from byte 48, the fifth bit of element 32 j + l is bit j of byte 16 + l."""

from cutaway.kernels.formats import checks

RAW = (
    "93236e9dc9a356ba91d79f6d24ee3a14ebd41386d8faef6e9e6c70df41dba9aeb5301e5824b7db0e504f1d970686934768f0"
    "05af0d5a23ddb465fc5a489b43e76ea3e384969be487a440e7c3ea5204cabbf9bfe8e648caff7704ac26d227a069c392f4ee"
    "b361c24ef366530178b479933822c3c0cf6b3cbeb4af7ecff21cd3a408f80223e393ddd808453d6bad90efd8aba2b4d09622"
    "6df8d446a703fcb2bdddd8e1e2a09a633f7c349903cb463dc4f3"
)


def bits(e):
    low = [(48 + e // 64 * 32 + e % 32, 4 * (e // 32 % 2) + k) for k in range(4)]
    return low + [(16 + e % 32, e // 32)]


def test_golden():
    checks.golden(
        "q5_k",
        RAW,
        [3.2855148, 0.0901413, 2.8860931, 2.0872498],
        [2.2203903, 10.208824, 15.001884, 8.078575],
        "78da3b1484bb6b13",
    )


def test_core_equals_numpy():
    checks.unpack("q5_k", checks.blocks("q5_k", [0, 2]))


def test_equals_gguf():
    checks.as_gguf("q5_k", checks.blocks("q5_k", [0, 2]))


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
            checks.places("q5_k", fields, bits, value)


def test_round_trip():
    # worst seen 0.03215, half of 2/31
    assert checks.round_trip("q5_k") <= 0.034
