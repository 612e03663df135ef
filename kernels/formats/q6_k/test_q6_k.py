"""q6_k: 128 elements in 64 bytes of low nibbles and 32 of high bits; signed scales of 16."""

from cutaway.kernels.formats import checks

RAW = (
    "2e48d232ddc3f3e848e3f55cb7e22d1bad8ded2dd7fb1065837b97585cae654f2c42b8f27265d7ddd7eec5923eb486fc6bb3"
    "0e571a96372332a38245e6a7dc162ddcb8f3d54a0f38ee52c9719952c3338026fbfa0adf76282c4bf9838c2557f3b7246b85"
    "2bab20e604ae83e5385d98c4690126be98f09c9384aaa5945fc3d3d4e1e6386dbe5b1df267ebd0e0f0a3d85f5fa461698f35"
    "e2b6b9f839ecdb83b5184e549711f50a853f3b46146e3201a92959ecfe84886a928a82af70f39304ebbe937c4140821f57c9"
    "e09458ce1d9b09ae7da3"
)


def bits(e):
    n, t, l = e // 128, e % 128 // 32, e % 32
    low = [(64 * n + 32 * (t % 2) + l, 4 * (t // 2) + k) for k in range(4)]
    return low + [(128 + 32 * n + l, 2 * t), (128 + 32 * n + l, 2 * t + 1)]


def test_golden():
    checks.golden(
        "q6_k",
        RAW,
        [-3.1883698, 12.753479, -47.825546, -22.318588],
        [5.996475, -23.9859, 34.779556, 15.590836],
        "adc03fe720f7df26",
    )


def test_core_equals_numpy():
    checks.unpack("q6_k", checks.blocks("q6_k", [208]))


def test_equals_gguf():
    checks.as_gguf("q6_k", checks.blocks("q6_k", [208]))


SC = [1, -1, 2, 127, -128, 0, 5, -7, 64, -33, 100, 3, -90, 17, 8, -2]


def test_places_and_scales():
    for d in checks.SCALES:
        fields = {192: [s % 256 for s in SC], 208: checks.half(d)}
        checks.places("q6_k", fields, bits, lambda e, code, d=d: (code - 32) * (d * SC[e // 16]))


def test_round_trip():
    # worst seen 0.03212: the largest is -32 steps, but 31 is the other end
    assert checks.round_trip("q6_k") <= 0.034
