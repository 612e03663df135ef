"""matmul in every format, on float and on rounded activations, against its reference."""

import numpy as np
import pytest
from cutaway import _core, errors, ops
from cutaway.kernels.formats import format as formats
from cutaway.kernels.matmul import matmul as definition
from cutaway.kernels.quantize_q8 import quantize_q8
from cutaway.testing import Case, check_kernel, units_off

CODED = [name for name in formats.names() if formats.module(name).BLOCK > 1]
PLAIN = [name for name in formats.names() if formats.module(name).BLOCK == 1]
BELOW_2 = ("f16 below 2", "bf16 below 2")  # packed without bit 14


def weight(name, N, K, seed=0):
    rng = np.random.default_rng(seed)
    name, _, below = name.partition(" below ")
    w = rng.standard_normal((N, K)).astype(np.float32) * np.float32(0.3 if below else 1)
    return ops.Stored(name, formats.module(name).pack(w))


def activations(T, K, seed=1):
    x = np.random.default_rng(seed).standard_normal((T, K)).astype(np.float32)
    x[:, K // 3] *= 40  # an outlier channel, as real models have
    return x


@pytest.mark.parametrize("name", formats.names() + BELOW_2)
def test_float_activations(name):
    K = 211 if name in PLAIN else 512 if name in CODED else 224
    cases = [
        Case(f"{name} T={T} N={N}", (activations(T, K),), (weight(name, N, K), bias))
        for T, N in ((1, 1), (1, 16), (2, 17), (17, 33))
        for bias in (None, np.linspace(-3, 3, N, dtype=np.float32))
    ]
    check_kernel("matmul", cases)


@pytest.mark.parametrize("name", CODED)
def test_rounded_activations(name):
    cases = [
        Case(f"{name} T={T} N={N}", (quantize_q8.reference(activations(T, 768)),), (weight(name, N, 768), bias))
        for T, N in ((1, 1), (2, 16), (3, 17), (8, 35), (11, 33))
        for bias in (None, np.linspace(-3, 3, N, dtype=np.float32))
    ]
    check_kernel("matmul", cases)


@pytest.mark.parametrize("name", formats.names() + BELOW_2)
def test_one_token_or_many_same_bits_on_every_target(name):
    """However many tokens share a tile or an unpacked strip, and whatever the machine multiplies integers with."""
    w, x = weight(name, 35, 512), activations(13, 512)
    inputs = [x, quantize_q8.reference(x)] if name in CODED else [x]
    for rows in inputs:
        alone = np.concatenate([ops.matmul(rows[t : t + 1], w) for t in range(13)])
        for target in _core.targets():
            for T in range(1, 14):
                assert ops.matmul(rows[:T], w, target=target).tobytes() == alone[:T].tobytes(), (target, T)


@pytest.mark.parametrize("name", ["f32", "bf16", "f16 below 2", "q4_1", "q5_0", "q6_k"])  # unpacked or not, in planes
def test_many_tokens_on_any_number_of_threads_same_bits(name):
    """Tokens are cut into pieces of 48 and more and slices of 24, strips into pairs: a thread begins anywhere."""
    w, x = weight(name, 83, 256), activations(287, 256)
    for rows in [x, quantize_q8.reference(x)] if name in CODED else [x]:
        alone = np.concatenate([ops.matmul(rows[t : t + 1], w) for t in range(len(rows))])
        for target in _core.targets():
            for T in (24, 25, 47, 49, 73, 95, 96, 97, 145, 146, 287):
                for threads in (1, 2, 3, 5):
                    y = _core.run_op("matmul", [rows[:T]], [w.packed], {}, target, threads, guard=True)
                    assert y.tobytes() == alone[:T].tobytes(), (target, T, threads)


@pytest.mark.parametrize("name", CODED)
@pytest.mark.parametrize("target", _core.targets())
def test_largest_codes_and_activations(name, target):
    """Sums of products in 16 bits, where a target has them, must not overflow: every byte of the weight is 0xff, 0, or
    127 and -128, the largest that q8_0 may hold; activations are +-127."""
    f = formats.module(name)
    raw = np.full((32, 512 // f.BLOCK * f.BLOCK_BYTES), 0xFF, np.uint8)
    raw[8:16], raw[16:24], raw[24:] = 0, 0x7F, 0x80
    x = np.full((2, 512), 127, np.float32)
    x[1] *= -1
    for w in (ops.Stored(name, _with_scale_one(name, raw)), ops.Stored(name, _with_scale_one(name, ~raw))):
        blocks = quantize_q8.reference(x)
        np.testing.assert_allclose(ops.matmul(blocks, w, target=target), definition.reference(blocks, w), rtol=1e-5)


def _with_scale_one(name, raw):
    """Blocks with float16 factors of 1 and 1 / 4, so that all values are finite."""
    out = raw.copy().reshape(len(raw), -1, formats.module(name).BLOCK_BYTES)
    one, quarter = np.float16([1, 0.25]).view(np.uint8).reshape(2, 2)
    places = {"q2_k": (80, 82), "q3_k": (108,), "q6_k": (208,), "mxfp4": ()}.get(
        name, (0, 2) if name in ("q4_1", "q5_1", "q4_k", "q5_k") else (0,)
    )
    for at, value in zip(places, (one, quarter), strict=False):
        out[..., at : at + 2] = value
    if name == "mxfp4":
        out[..., 0] = 127
    return out.reshape(raw.shape)


@pytest.mark.parametrize("name", formats.names())
def test_packed_rows_are_the_stored_values(name):
    w = weight(name, 19, 512)
    for n in range(19):
        assert w.packed.row(n).tobytes() == w.values[n].tobytes()


@pytest.mark.parametrize("name", ["f16", "bf16"])
def test_halves_below_2_take_15_bits_and_lose_none(name):
    """Each of their patterns, in several places; products with rows of the identity give them back."""
    below = np.array([bits for bits in range(2**16) if not bits & 0x4000], np.uint16)
    for seed in range(3):
        raw = np.random.default_rng(seed).permutation(below).reshape(1024, 32)
        w = ops.Stored(name, raw.view(np.uint8))
        assert w.packed.nbytes == raw.nbytes * 15 // 16
        assert all(w.packed.row(n).tobytes() == w.values[n].tobytes() for n in range(1024))
        ones = np.eye(32, dtype=np.float32)
        for target in _core.targets():
            for T in (1, 3, 32):  # one product, several, unpacked
                y = np.concatenate([ops.matmul(ones[t : t + T], w, target=target) for t in range(0, 32, T)])
                np.testing.assert_array_equal(y, w.values.T, err_msg=f"{target} T={T}")


@pytest.mark.parametrize("name", ["f16", "bf16"])
@pytest.mark.parametrize("place", [(0, 0), (3, 31), (16, 30), (36, 95), (20, 64)])
def test_one_half_of_2_or_more_takes_16_bits(name, place):
    short = weight(f"{name} below 2", 37, 96)
    assert short.packed.nbytes == 48 * 96 * 2 * 15 // 16
    for value in (2, -2, 3e4, np.inf, np.nan):
        values = short.values.copy()
        values[place] = value
        w = ops.Stored(name, formats.module(name).pack(values))
        assert w.packed.nbytes == 48 * 96 * 2
        assert all(w.packed.row(n).tobytes() == w.values[n].tobytes() for n in range(37))
    assert weight(f"{name} below 2", 37, 48).packed.nbytes == 48 * 48 * 2  # rows that are no multiple of 32


@pytest.mark.parametrize("name", ["f16", "bf16"])
@pytest.mark.parametrize("target", _core.targets())
def test_every_half_float(name, target):
    raw = np.arange(2**16, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    w = ops.Stored(name, raw)
    np.testing.assert_array_equal(ops.matmul(np.ones((1, 1), np.float32), w, target=target)[0], w.values[:, 0])


def test_row_v_gives_logit_v():
    """A head read with the wrong layout gives garbage at scattered ids: here row v is v everywhere (catalogue Q08)."""
    N, K = 4099, 64
    w = np.repeat(np.arange(N, dtype=np.float32)[:, None], K, axis=1)
    x = np.ones((1, K), np.float32)
    assert (ops.matmul(x, w)[0] == np.arange(N) * K).all()


def test_nan_is_not_averaged_away():
    x = activations(2, 512)
    x[1, 5] = np.nan
    for w in (weight("q4_k", 16, 512), weight("f16", 16, 512)):
        y = ops.matmul(x, w)
        assert np.isfinite(y[0]).all() and np.isnan(y[1]).all()
    y = ops.matmul(quantize_q8.reference(x), weight("q4_1", 16, 512))
    assert np.isfinite(y[0]).all() and np.isnan(y[1]).all()


def test_a_fault_of_one_in_a_hundred_is_seen():
    w, x = weight("q4_1", 64, 576), activations(4, 576)
    expected, magnitude = definition.reference(x, w), definition.magnitude(x, w)
    y = ops.matmul(x, w)
    y[:, 7] *= np.float32(1.01)
    off = units_off(y, expected, magnitude)
    assert (off > definition.UNITS).any(0).nonzero()[0].tolist() == [7]


def test_refusals():
    with pytest.raises(errors.ShapeError, match="x has rows of 64"):
        ops.matmul(np.zeros((1, 64), np.float32), weight("q8_0", 16, 96))
    with pytest.raises(errors.ShapeError, match="bias"):
        ops.matmul(np.zeros((1, 64), np.float32), weight("q8_0", 16, 64), np.zeros(15, np.float32))
    with pytest.raises(errors.ShapeError, match="takes float x"):
        ops.matmul(quantize_q8.reference(np.zeros((1, 64), np.float32)), weight("f16", 16, 64))
    with pytest.raises(errors.ShapeError, match="axes"):
        ops.matmul(np.zeros((1, 64), np.float32), np.zeros(64, np.float32))
