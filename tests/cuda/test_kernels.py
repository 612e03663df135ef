"""Every CUDA kernel against its reference on the cases of its op; one order for every number of tokens; fused = chain.

The tests called small are those that compute-sanitizer runs.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from cutaway import _core, errors, ops
from cutaway.devices import point_to_cublas
from cutaway.kernels.formats import format as formats
from cutaway.kernels.quantize_q8 import quantize_q8
from cutaway.testing import Case, check_kernel

KERNELS = Path(__file__).parents[2] / "kernels"
PRODUCTS = ("matmul", "gated_matmul")
OTHERS = {"formats", "quantize_q8", *PRODUCTS}
WITH_CASES = sorted(p.parent.name for p in KERNELS.glob("*/test_*.py") if p.parent.name not in OTHERS)


def random(*shape, seed=0):
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def stored(name, N, K, seed=0):
    return ops.Stored(name, formats.module(name).pack(random(N, K, seed=seed) * np.float32(K**-0.5)))


def product_cases(op):
    sizes = [(1, 1, 1), (1, 5, 31), (2, 3, 32), (7, 9, 33), (8, 8, 64), (9, 17, 127), (17, 100, 511), (3, 33, 1537)]
    sizes = [(*size, "f32") for size in [*sizes, (1, 576, 576), (33, 211, 513)]]
    for T, N, K, fmt in sizes + [(3, 18, 256, name) for name in formats.names()]:
        x, bias, w, up = random(T, K), random(N), stored(fmt, N, K), stored(fmt, N, K, seed=1)
        name = f"{T, N, K} {fmt}"
        if op == "gated_matmul":
            yield Case(name, (x,), (w, up))
            yield Case(f"{name} far from zero", (15 * x,), (w, up))
        else:
            yield Case(name, (x,), (w, None))
            yield Case(f"{name} bias", (x,), (w, bias))
            same = ops.Stored(fmt, formats.module(fmt).pack(np.full((N, K), 0.3, np.float32)))
            yield Case(f"{name} all equal", (np.full_like(x, 3.3),), (same, None))


def cases(op):
    if op in PRODUCTS:
        return list(product_cases(op))
    spec = importlib.util.spec_from_file_location(f"cases_of_{op}", KERNELS / op / f"test_{op}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.cases())


def elements(case):
    return sum(np.size(a) for a in (*case.reads, *case.weights) if a is not None)


def agrees(op, chosen, target, record_property):
    worst = check_kernel(op, chosen, targets=[target])
    record_property("units", worst)
    print(f"{op}/{target}: worst {worst:.3g} units of {ops.definition(op).UNITS}, {len(chosen)} cases")


@pytest.mark.parametrize("op", [*WITH_CASES, *PRODUCTS])
def test_kernel(op, record_property):
    agrees(op, cases(op), "cuda", record_property)


@pytest.mark.parametrize("op", [*WITH_CASES, *PRODUCTS])
def test_small_kernel(op, record_property):
    few = [c for c in cases(op) if elements(c) < 3000]
    agrees(op, few[:: max(1, len(few) // 12)], "cuda", record_property)


@pytest.mark.parametrize("op", ["matmul", "gated_matmul"])
def test_cublas(op, record_property):
    assert f"{op}/cublas" in ops.kernels(op)
    point_to_cublas()
    agrees(op, cases(op), "cublas", record_property)


def test_rounded_activations_are_refused():
    x, w = quantize_q8.reference(random(2, 256)), stored("q4_1", 5, 256)
    with pytest.raises(errors.UnsupportedOperation, match="matmul: CUDA kernels take float activations"):
        ops.matmul(x, w, target="cuda")


def test_every_op_has_a_kernel():
    without = {op for op in (o["name"] for o in _core.ops()) if not _core.cuda_targets(op)}
    assert without == {"quantize_q8"}  # products run on float32 weights, so activations are not rounded
    with pytest.raises(errors.UnsupportedOperation, match="quantize_q8 has no CUDA kernel"):
        ops.quantize_q8(random(1, 32), target="cuda")
    with pytest.raises(errors.UnsupportedOperation, match="gelu has no kernel for target cublas"):
        ops.gelu(random(4), target="cublas")


def test_the_kernel_that_was_named_ran():
    ops.gelu(random(4), target="cuda")
    assert _core.last_kernel() == "gelu/cuda"


def test_a_product_does_not_depend_on_the_rows_beside_it():
    x, w, up = random(33, 577), random(50, 577, seed=1), random(50, 577, seed=2)
    for run in (
        lambda rows: ops.matmul(rows, w, target="cuda"),
        lambda rows: ops.gated_matmul(rows, w, up, target="cuda"),
    ):
        whole = run(x)
        for begin, end in ((0, 1), (5, 6), (3, 11), (32, 33), (16, 33)):
            np.testing.assert_array_equal(run(x[begin:end]), whole[begin:end])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("window", [0, 1, 20, 100])
def test_attention_has_the_bits_of_its_chain_and_of_decode(window, dtype):
    S = 1100  # more than one block of the softmax's sum
    q, keys, values = random(S, 6, 40), random(S, 2, 40, seed=1).astype(dtype), random(S, 2, 40, seed=2).astype(dtype)
    q = q[-40:]
    whole = ops.attention(q, keys, values, scale=0.3, window=window, target="cuda")
    pattern = ops.softmax(ops.attention_scores(q, keys, 0.3, window, target="cuda"), target="cuda")
    np.testing.assert_array_equal(whole, ops.attention_mix(pattern, values, target="cuda"))
    for t in (0, 7, 39):
        s = S - 40 + t + 1
        one = ops.attention(q[t : t + 1], keys[:s], values[:s], scale=0.3, window=window, target="cuda")
        np.testing.assert_array_equal(one[0], whole[t])


def test_norms_and_gates_have_the_bits_of_their_chains():
    x, w, b, on = random(5, 1537), random(1537), random(1537, seed=1), {"target": "cuda"}
    chain = ops.gain(ops.rms_normalize(x, ops.rms_scale(x, 1e-5, **on), **on), w, **on)
    np.testing.assert_array_equal(ops.rms_norm(x, w, 1e-5, **on), chain)
    chain = ops.gain(ops.layer_normalize(x, ops.layer_scale(x, 1e-5, **on), **on), w, b, **on)
    np.testing.assert_array_equal(ops.layer_norm(x, w, b, 1e-5, **on), chain)
    gate, up = random(70, 1537, seed=2), random(70, 1537, seed=3)
    chain = ops.silu_mul(ops.matmul(x, gate, **on), ops.matmul(x, up, **on), **on)
    np.testing.assert_array_equal(ops.gated_matmul(x, gate, up, **on), chain)


def test_refusals_are_those_of_the_cpu():
    with pytest.raises(errors.InvalidTokenId, match=r"ids\[1\] is 9, expected 0 <= id < 3"):
        ops.embed(np.array([0, 9], np.int32), random(3, 4), target="cuda")
    with pytest.raises(errors.ArgumentError, match=r"positions\[0\] is -1"):
        ops.rope(random(1, 2, 8), np.array([-1], np.int32), np.ones(4), target="cuda")
    with pytest.raises(errors.ShapeError, match=r"y is \[3\], expected \[4\]"):
        ops.add(random(4), random(3), target="cuda")


def test_no_rows_are_no_launch():
    assert ops.rms_norm(random(0, 8), random(8), target="cuda").shape == (0, 8)
    assert ops.gelu(random(0), target="cuda").shape == (0,)
