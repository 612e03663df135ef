"""gated_matmul: against its reference, and bit for bit the chain of matmul, matmul, silu_mul."""

import numpy as np
import pytest
from cutaway import _core, errors, ops
from cutaway.kernels.formats import format as formats
from cutaway.kernels.quantize_q8 import quantize_q8
from cutaway.testing import Case, check_kernel


def weights(name, N, K):
    rng = np.random.default_rng(3)
    return [
        ops.Stored(name, formats.module(name).pack(rng.standard_normal((N, K)).astype(np.float32) * 0.1)) for _ in "gu"
    ]


def activations(T, K):
    return np.random.default_rng(4).standard_normal((T, K)).astype(np.float32)


@pytest.mark.parametrize("name", ["f32", "f16", "q4_1", "q6_k"])
def test_float_activations(name):
    check_kernel(
        "gated_matmul",
        [Case(f"{name} T={T}", (activations(T, 512),), tuple(weights(name, 35, 512))) for T in (1, 2, 9)],
    )


@pytest.mark.parametrize("name", ["q4_0", "q4_1", "q4_k", "q6_k", "q8_0", "mxfp4"])
def test_same_bits_as_the_chain(name):
    gate, up = weights(name, 35, 512)
    for T in (1, 3, 8, 10):
        x = activations(T, 512)
        for inputs in (x, quantize_q8.reference(x)):
            fused = ops.gated_matmul(inputs, gate, up)
            chain = ops.silu_mul(ops.matmul(inputs, gate), ops.matmul(inputs, up))
            assert fused.tobytes() == chain.tobytes()
        check_kernel("gated_matmul", [Case(f"{name} q8 T={T}", (quantize_q8.reference(x),), (gate, up))])


@pytest.mark.parametrize(
    "names", [("q4_0", "q6_k"), ("q6_k", "q8_0"), ("q5_k", "q5_k"), ("f16", "q4_1"), ("f32", "f16")]
)
def test_gate_and_up_of_any_two_formats(names):
    """Each is opened, unpacked and multiplied as its own format asks, for one tile of tokens and for many."""
    (gate, _), (_, up) = (weights(name, 275, 256) for name in names)  # more rows than columns
    coded = all(formats.module(name).BLOCK > 1 for name in names)
    for T in (1, 3, 13, 50, 97):
        x = activations(T, 256)
        for inputs in (x, quantize_q8.reference(x)) if coded else (x,):
            chain = ops.silu_mul(ops.matmul(inputs, gate), ops.matmul(inputs, up))
            for target in _core.targets():
                for threads in (1, 2, 3):
                    y = _core.run_op(
                        "gated_matmul", [inputs], [gate.packed, up.packed], {}, target, threads, guard=True
                    )
                    assert y.tobytes() == chain.tobytes(), (target, T, threads)


def test_gates_where_the_exponential_overflows():
    """Near -89 float32's e^-a has no room: silu is 0 there, and its definition a few 1e-37."""
    x = np.zeros((1, 32), np.float32)
    x[0, :2] = 1
    gate = np.zeros((2001, 32), np.float32)
    gate[:, 0] = np.linspace(-100, 100, 2001)
    up = np.roll(gate / 50, 1, axis=1)
    check_kernel(
        "gated_matmul",
        [Case("where silu bends", (x,), tuple(ops.Stored("f32", formats.module("f32").pack(w)) for w in (gate, up)))],
    )


def test_refuses_gate_and_up_of_different_shapes():
    with pytest.raises(errors.ShapeError, match="gate gives"):
        ops.gated_matmul(np.zeros((1, 32), np.float32), np.zeros((16, 32), np.float32), np.zeros((17, 32), np.float32))
