"""experts_matmul in every format: against its reference; the bits of matmul, expert by expert; each refusal."""

import numpy as np
import pytest
from cutaway import _core, errors, ops
from cutaway.kernels.experts_matmul import experts_matmul as definition
from cutaway.kernels.formats import format as formats
from cutaway.kernels.quantize_q8 import quantize_q8
from cutaway.testing import Case, assert_agrees, check_kernel

CODED = [name for name in formats.names() if formats.module(name).BLOCK > 1]
PLAIN = [name for name in formats.names() if formats.module(name).BLOCK == 1]


def weight(name, X, N, K, seed=0):
    rng = np.random.default_rng(seed)
    name, _, below = name.partition(" below ")
    w = rng.standard_normal((X, N, K)).astype(np.float32) * np.float32(0.3 if below else 1)
    return ops.Stored(name, formats.module(name).pack(w))


def inputs(T, A, X, K, own_rows, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((T, A, K) if own_rows else (T, K)).astype(np.float32)
    x[..., K // 3] *= 40  # an outlier channel, as real models have
    return x, np.argsort(rng.random((T, X)), axis=-1)[:, :A].astype(np.int32)


def cases():
    for name in (*formats.names(), "f16 below 2", "bf16 below 2"):
        K = 211 if name in PLAIN else 256
        for T, A, X, N in ((1, 1, 1, 1), (1, 2, 3, 16), (9, 3, 5, 33)):
            w, bias = weight(name, X, N, K), np.linspace(-3, 3, X * N, dtype=np.float32).reshape(X, N)
            yield Case(f"{name} {T, A, X, N}", inputs(T, A, X, K, False), (w, None))
            yield Case(f"{name} {T, A, X, N} own rows", inputs(T, A, X, K, True), (w, bias))


def test_every_kernel():
    check_kernel("experts_matmul", cases())


@pytest.mark.parametrize("own_rows", [False, True])
@pytest.mark.parametrize("name", CODED)
def test_rounded_activations(name, own_rows):
    w = weight(name, 5, 35, 512)
    for T in (1, 7):
        x, indices = inputs(T, 3, 5, 512, own_rows)
        blocks = quantize_q8.reference(x)
        expected = definition.reference(blocks, indices, w)
        magnitude = definition.magnitude(blocks, indices, w, spread=w.spread)
        bits = set()
        for target in _core.targets():
            y = ops.experts_matmul(blocks, indices, w, target=target)
            assert_agrees(y, expected, magnitude, definition.UNITS, f"{name} {target} T={T}")
            bits.add(y.tobytes())
        assert len(bits) == 1, f"{name}: targets differ in their bits"


@pytest.mark.parametrize("name", ["mxfp4", "q4_k", "f32", "bf16 below 2"])
def test_packed_rows_are_the_stored_values(name):  # counted through, expert by expert
    w = weight(name, 3, 19, 256)
    for n, row in enumerate(w.values.reshape(-1, 256)):
        assert w.packed.row(n).tobytes() == row.tobytes(), n


@pytest.mark.parametrize("name", ["mxfp4", "q8_0", "f16"])
def test_same_bits_as_matmul_with_each_expert(name):
    w = weight(name, 4, 40, 256)
    x, indices = inputs(6, 2, 4, 256, False)
    for given in [x, quantize_q8.reference(x)] if name in CODED else [x]:
        y = ops.experts_matmul(given, indices, w)
        for expert in range(4):
            alone = ops.matmul(given, ops.Stored(name, w.raw[expert]))
            for t, a in np.argwhere(indices == expert):
                np.testing.assert_array_equal(y[t, a], alone[t])


@pytest.mark.parametrize("own_rows", [False, True])
@pytest.mark.parametrize("name", ["f16", "q4_1", "q6_k", "mxfp4"])
def test_experts_of_no_rows_one_and_many(name, own_rows):
    """What one expert's rows give does not depend on how many there are, nor on who chose the others."""
    N = 289  # more than K
    w, bias = weight(name, 6, N, 256), np.linspace(-3, 3, 6 * N, dtype=np.float32).reshape(6, N)
    some = np.repeat([1, 2, 3, 4, 5], [1, 12, 13, 25, 49])  # none chooses expert 0
    for rows in (some, np.full(14, 4)):
        indices = np.random.default_rng(3).permutation(rows).reshape(-1, 2).astype(np.int32)
        T = len(indices)
        x, _ = inputs(T, 2, 6, 256, own_rows)
        for given in [x, quantize_q8.reference(x)] if name in CODED else [x]:
            each = given.reshape(T, 2 if own_rows else 1, -1)
            expected = np.empty((T, 2, N), np.float32)
            for e in set(rows):
                t, a = (indices == e).nonzero()
                expected[t, a] = ops.matmul(each[t, a * own_rows], ops.Stored(name, w.raw[e]), bias[e])
            for target in _core.targets():
                for threads in (1, 2, 3):
                    y = _core.run_op("experts_matmul", [given, indices], [w.packed, bias], {}, target, threads, True)
                    assert y.tobytes() == expected.tobytes(), (target, threads)


def test_refusals():
    w = weight("f32", 3, 4, 8)
    x, indices = inputs(2, 2, 3, 8, False)
    with pytest.raises(errors.ArgumentError, match=r"indices\[0, 1\] is -1, expected 0 <= index < 3"):
        ops.experts_matmul(x, np.int32([[0, -1], [1, 2]]), w)
    with pytest.raises(errors.ShapeError, match=r"x has 7 columns a token, expected K = 8 or A K = 16"):
        ops.experts_matmul(x[:, :7], indices, w)
    with pytest.raises(errors.ShapeError, match=r"bias is \[3, 3\], expected \[X, N\] = \[3, 4\]"):
        ops.experts_matmul(x, indices, w, np.ones((3, 3), np.float32))
    with pytest.raises(errors.ShapeError, match="x is rounded to 8 bits, but w is f32"):
        ops.experts_matmul(quantize_q8.reference(np.ones((2, 32), np.float32)), indices, weight("f32", 3, 4, 32))
