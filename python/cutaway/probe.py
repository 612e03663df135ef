"""ct.probe: one kernel alone against its NumPy reference, on made inputs or on those a model gave it."""

from __future__ import annotations

from typing import Any

import numpy as np

from cutaway import ops
from cutaway.compare import Row, _row, _Trace
from cutaway.errors import ArgumentError, InternalError
from cutaway.graph import Weight
from cutaway.kernels.formats import format as formats
from cutaway.kernels.quantize_q8 import quantize_q8
from cutaway.reference.weights import FileWeights
from cutaway.report import Report
from cutaway.testing import expectation

# T and width: whole vectors and tails; more tokens than are multiplied in one go, or unpacked for, or one piece takes
SHAPES = [(1, 64), (1, 576), (1, 97), (3, 577), (7, 1536), (17, 97), (2, 31), (97, 32)]


def _values(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Activations as models have them: normal, with one channel forty times as large."""
    x = rng.standard_normal(shape).astype(np.float32)
    x[..., shape[-1] // 3] *= 40
    return x


def _weight(rng: np.random.Generator, fmt: str, N: int, K: int) -> ops.Stored:
    f = formats.module(fmt)
    if f.BLOCK > 1:
        K = max(K // max(f.BLOCK, 32), 1) * max(f.BLOCK, 32)
    return ops.Stored(fmt, f.pack((rng.standard_normal((N, K)) * 0.05).astype(np.float32)))


NUMBERS: dict[str, dict[str, float]] = {  # attributes without which an op cannot run, as models have them
    "scale": {"factor": 25.3},
    "softcap": {"cap": 30.0},
    "swiglu_oai": {"alpha": 1.702, "limit": 7.0},
    "top_k": {"k": 4},
}


def make_inputs(
    op: str, T: int, width: int, fmt: str, rng: np.random.Generator
) -> tuple[list[Any], list[Any], dict[str, float]]:
    """Reads, weights and numbers of one call of an op, made from a seed; where T is odd, with all that is optional."""
    heads, E, optional = 4, max(width // 4, 2) // 2 * 2, T % 2 == 1
    if op == "experts_matmul":
        raw = [_weight(rng, fmt, width + 5, width).raw for _ in range(5)]
        stack = ops.Stored(fmt, np.stack(raw))
        bias = [rng.standard_normal((5, width + 5)).astype(np.float32)] if optional else []
        x = _values(rng, T, 3, stack.K) if optional else _values(rng, T, stack.K)
        return [x, np.argsort(rng.random((T, 5)))[:, :3].astype(np.int32)], [stack, *bias], {}
    if op in ("matmul", "gated_matmul"):
        N = width + 5  # the last strip of 16 rows is a part of one
        w: list[Any] = [_weight(rng, fmt, N, width)]
        if op == "gated_matmul":  # where T is odd, of two formats
            other = ("q8_0" if formats.module(fmt).BLOCK > 1 else "f32") if optional else fmt
            w.append(_weight(rng, other, N, w[0].K))
        bias = [rng.standard_normal(N).astype(np.float32)] if op == "matmul" and optional else []
        return [_values(rng, T, w[0].K)], w + bias, {}
    if op == "embed":
        return [rng.integers(0, 50, T).astype(np.int32)], [_weight(rng, fmt, 50, width)], {}
    if op == "quantize_q8":
        return [_values(rng, T, max(width // 32, 1) * 32)], [], {}
    if op == "rope":
        turns = 10000.0 ** (-np.arange(E // 2 - optional) * 2 / E)  # one pair that is not turned
        factor = {"attention_factor": 1.2} if optional else {}
        return [_values(rng, T, heads, E), (3 + np.arange(T) * 997).astype(np.int32)], [turns], factor
    S = T + (600 if T == 3 else 20)  # once beyond the 512 positions that windows go by
    kv = [rng.standard_normal((S, 2, E)).astype(np.float16 if optional else np.float32) for _ in "kv"]
    if op in ("attention", "attention_scores"):
        q = rng.standard_normal((T, heads, E)).astype(np.float32)
        window = {"window": 18} if optional else {}
        sinks = [rng.standard_normal(heads).astype(np.float32)] if optional and op == "attention" else []
        return [q, *(kv if op == "attention" else kv[:1])], sinks, {"scale": E**-0.5, **window}
    if op in ("attention_sink", "softmax"):
        sinks = [rng.standard_normal(heads).astype(np.float32)] if optional or op == "attention_sink" else []
        return [rng.standard_normal((T, heads, S)).astype(np.float32)], sinks, {}
    if op == "attention_mix":
        p = rng.random((T, heads, S)).astype(np.float32)
        return [p / p.sum(-1, keepdims=True), kv[1]], [], {}
    x = _values(rng, T, width)
    if op in ("rms_scale", "layer_scale"):
        return [x], [], {"eps": 1e-5}
    if op in ("rms_normalize", "layer_normalize"):
        return [x, np.abs(_values(rng, T, 1)) + np.float32(0.1)], [], {}
    if op in ("rms_norm", "layer_norm", "gain"):
        vectors = [rng.standard_normal(width).astype(np.float32) for _ in "wb"]
        return [x], vectors[: 1 + (optional and op != "rms_norm")], {} if op == "gain" else {"eps": 1e-5}
    if op == "experts_mix":
        return [_values(rng, T, 4, width), rng.random((T, 4)).astype(np.float32)], [], {}
    if op == "expert_weights":
        return [x, np.argsort(rng.random((T, width)), axis=-1)[:, :4].astype(np.int32)], [], {}
    return [x, _values(rng, T, width)][: len(ops.describe(op)["reads"])], [], NUMBERS.get(op, {})


def _judge(
    name: str,
    op: str,
    target: str,
    expected: np.ndarray,
    magnitude: np.ndarray,
    call: tuple[list[Any], list[Any], dict[str, float]],
) -> Row:
    """The worse of two runs, on one thread and on two, between guards that a kernel must not touch."""
    reads, weights, attributes = call
    packed = [getattr(w, "packed", w) for w in weights]
    rows = []
    for threads in (1, 2):
        label = name if threads == 1 else f"{name}, {threads} threads"
        try:
            actual = ops._core.run_op(op, reads, packed, attributes, target, threads, guard=True)
        except InternalError as error:  # an element left unwritten, or one beside them written
            label, actual = f"{label}: {error}", np.full(expected.shape, np.nan, np.float32)
        if expected.dtype == np.uint32:
            actual = np.ascontiguousarray(actual).view(np.uint32)
        shape = actual.shape
        rows.append(
            _row(
                label,
                op,
                f"{op}/{target}",
                "numpy",
                actual,
                np.reshape(expected, shape),
                np.reshape(magnitude, shape),
                ops.definition(op).UNITS,
            )
        )
    return max(rows, key=lambda row: row.units)


def probe(
    kernel: str,
    *,
    target: str | None = None,
    shapes: list[tuple[int, int]] | None = None,
    format: str | None = None,
    seed: int = 0,
    model: Any = None,
    tokens: Any = None,
    stage: Any = None,
) -> Report:
    """Runs a kernel ("matmul", or "matmul/avx2" for one target) and compares it with its reference.

    target   one of `ops.kernels(kernel)`; default: all of them
    shapes   (T, width) of the made inputs; default: SHAPES
    format   of the weights of matmul, gated_matmul, experts_matmul, embed; default: all of them
    seed     of the made inputs
    model    with tokens: the inputs are those of the model's own stages of this op, at `stage` (a filter) or everywhere

    Returns a Report with a row per case and target. Raises UnknownOp; ArgumentError for targets, shapes, formats and
    stages that are none."""
    op, _, named = kernel.partition("/")
    if target and named and target != named:
        raise ArgumentError(f"kernel {kernel!r} and target {target!r} name two targets")
    available = [k.split("/")[1] for k in ops.kernels(op)]
    one = target or named
    if one and one not in available:
        ops._core.run_op(op, *make_inputs(op, 1, 64, "f32", np.random.default_rng(0)), one)  # says why it cannot
    targets = [one] if one else available
    if format and op not in ops.MATRIX_OPS:
        raise ArgumentError(f"{op} has no weights in a format, got format {format!r}",
                            hint=f"{', '.join(ops.MATRIX_OPS)} have")  # fmt: skip
    shapes = list(SHAPES if shapes is None else shapes)
    for shape in shapes:
        if len(shape) != 2 or not all(isinstance(n, int) and n >= 1 for n in shape):
            raise ArgumentError(f"a shape is {list(shape)}, expected (T, width), two integers from 1")
    if not shapes:
        raise ArgumentError("shapes is empty, expected at least one (T, width)")
    if model is not None:
        cases = _captured(op, model, tokens, stage)
    else:
        chosen = [format] if format else list(formats.names()) if op in ops.MATRIX_OPS else ["f32"]
        cases = []
        for T, width in shapes:
            for fmt in chosen:
                rng = np.random.default_rng([seed, T, width])
                reads, weights, attributes = make_inputs(op, T, width, fmt, rng)
                label = f"[{T}, {width}]" + (f" {fmt}" if op in ops.MATRIX_OPS else "")
                cases.append((label, reads, weights, attributes))
                if op in ops.MATRIX_OPS and op != "embed" and formats.module(fmt).BLOCK > 1:
                    blocks = quantize_q8.reference(reads[0])
                    cases.append((label + " q8", [blocks, *reads[1:]], weights, attributes))
    rows = []
    for name, reads, weights, attributes in cases:
        expected, magnitude = expectation(op, reads, weights, attributes)
        for t in targets:
            if t not in ("cuda", "cublas") or reads[0].dtype != quantize_q8.BLOCK:  # CUDA takes no rounded activations
                rows.append(_judge(name, op, t, expected, magnitude, (reads, weights, attributes)))
    return Report(f"{kernel} alone", "isolate", rows)


def _captured(op: str, model: Any, tokens: Any, stage: Any) -> list[tuple[str, list[Any], list[Any], dict[str, float]]]:
    from cutaway import names

    arrays, _ = model._token_arrays(tokens)
    if len(arrays) != 1:
        raise ArgumentError(f"probe runs one sequence, got {len(arrays)}")
    trace = _Trace(model, arrays[0])
    wanted = None if stage is None else set(names.select(model.graph, stage))
    files = FileWeights(model.file, model.graph.constants)
    cases = []
    for e in trace.executed:
        if e["op"] != op or (wanted is not None and e["stage"] not in wanted):
            continue
        kinds = ops.describe(op)["weights"]
        weights = [_stored(files, Weight(**w), k) for w, k in zip(e["weights"], kinds, strict=False)]
        cases.append((e["stage"], trace.reads(op, e["reads"]), weights, e["attributes"]))
    if not cases:
        raise ArgumentError(
            f"no stage of {model.name} ran {op} there",
            hint="model.stages(), m.graph and `cutaway kernels` list what runs",
        )
    return cases


def _stored(files: FileWeights, ref: Weight, kind: str) -> Any:
    if ref.tensor.startswith("$") or len(ref.shape) == 1 or kind == "?bias":
        return files.get(ref)
    raw, _, fmt = files.raw(ref.tensor)
    return ops.Stored(fmt, files._rows(raw.reshape(*ref.shape[:-1], -1), ref))
