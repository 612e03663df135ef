"""iq4_xs: groups of 32 with nibbles as in q4_0 from byte 8, looked up; scales of six bits."""

from cutaway.kernels.formats import checks

RAW = (
    "f2a3f233bc2f422be3f0fa0cdd682f78c6268136c5d5ae4ceedf5bea752175d0b84d15d704b6df97679fc61c2a4527bf1f43"
    "919a9622a5e8199fac7ab4b3532c86443d981aafc374303fc6a86bd92e60843c814ee9b10320c6161bf6355049c1e34a4177"
    "2dc9023cb637cba025aa8269e52e9ea289eb1d172060132f2a6828bc7b69d60faba177ad"
)


def bits(e):
    return [(8 + 16 * (e // 32) + e % 16, 4 * (e % 32 // 16) + k) for k in range(4)]


def test_golden():
    checks.golden(
        "iq4_xs",
        RAW,
        [12.104187, 23.64972, -4.6554565, -9.869568],
        [11.638641, 11.638641, -4.6554565, 11.638641],
        "8360a5afad5bf069",
    )


def test_core_equals_numpy():
    checks.unpack("iq4_xs", checks.blocks("iq4_xs", [0]))


def test_equals_gguf():
    checks.as_gguf("iq4_xs", checks.blocks("iq4_xs", [0]))


TABLE = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]  # kvalues_iq4nl of ggml
SC = [1, -1, 31, -32, 5, -18, 0, 12]


def six_bits(sc):
    """The two bytes of high bits and four of low nibbles, one scale at a time, from the specification."""
    high, low = 0, [0] * 4
    for j in range(8):
        stored = sc[j] + 32
        low[j // 2] |= stored % 16 << 4 * (j % 2)
        high |= stored // 16 << 2 * j
    return [high % 256, high // 256, *low]


def test_places_and_scales():
    for d in checks.SCALES:
        fields = {0: checks.half(d), 2: six_bits(SC)}
        checks.places("iq4_xs", fields, bits, lambda e, code, d=d: TABLE[code] * (d * SC[e // 32]))


def test_round_trip():
    # worst seen 0.12029, where the table ends at 113 of 127
    assert checks.round_trip("iq4_xs") <= 0.125
