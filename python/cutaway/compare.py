"""ct.compare: two runs stage by stage, and the first stage whose own arithmetic is wrong.

mode="isolate": the reference of each stage is fed the very inputs that the kernel saw, so only that kernel's arithmetic
can differ. Errors count in units of rounding (2^-24 of an element's magnitude); a stage is wrong past its op's
tolerance.
mode="accumulate": both sides run from the tokens; the error of a stage is what it inherits and its own together."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cutaway import ops
from cutaway.errors import ArgumentError
from cutaway.graph import Weight
from cutaway.kernels.quantize_q8 import quantize_q8
from cutaway.model import Model
from cutaway.output import plain
from cutaway.reference.numpy_executor import PRODUCTS, NumpyExecutor, shape_of
from cutaway.report import Report
from cutaway.testing import units_off

# Relative error (Frobenius) that accumulated rounding alone explains; worst seen on SmolLM2 and the tiny models:
# 4.6e-6 exact, 0.040 fast, where a rounding of activations can fall the other way.
ACCUMULATED = {"exact": 1.8e-5, "fast": 0.16}


@dataclass
class Row:
    """One stage of a comparison."""

    stage: str
    op: str
    kernel: str  # that ran on side a, "attention/avx512"; the fused kernel where one stood for several stages
    reference: str  # what it was compared with: "numpy", or the kernel of side b
    units: float  # worst error in units of rounding; nan in mode accumulate
    tolerance: float  # in the same units; a relative error in mode accumulate
    rel: float  # ||a - b|| / ||b||
    at: list[int]  # index of the worst element: token first, channel last
    actual: float
    expected: float
    ok: bool
    weights: str = ""  # what it reads of the file: "token_embd.weight (q4_k)"; a wrong format shows in every such stage

    @property
    def verdict(self) -> str:
        return "ok" if self.ok else "WRONG"


def relative(actual: np.ndarray, expected: np.ndarray) -> float:
    """||actual - expected|| / ||expected|| over elements that are finite on either side; masked ones do not count."""
    a, b = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    use = ~(np.isneginf(a) & np.isneginf(b))
    with np.errstate(all="ignore"):
        size = np.sqrt((b[use] ** 2).sum())
        off = np.sqrt(((a[use] - b[use]) ** 2).sum())
        return float(off / size) if size else float(off)


def _row(
    stage: str, op: str, kernel: str, reference: str, actual: Any, expected: Any, magnitude: Any, tolerance: float
) -> Row:
    actual = np.asarray(actual)
    expected = np.broadcast_to(np.asarray(expected, np.float64), actual.shape)
    off = units_off(actual, expected, magnitude)
    at = np.unravel_index(int(np.argmax(off)), off.shape)
    worst = float(off[at])
    return Row(
        stage, op, kernel, reference, worst, tolerance, relative(actual, expected),
        [int(i) for i in at], float(actual[at]), float(expected[at]), worst <= tolerance,
    )  # fmt: skip


class _Trace:
    """One sequence's run on side a with everything watched: what each kernel read and wrote.

    ids: its last tokens, which run together behind those of `before`."""

    def __init__(self, model: Model, ids: np.ndarray, before: np.ndarray | None = None) -> None:
        self.model, self.ids = model, ids
        T, past = len(ids), 0 if before is None else len(before)
        steps = model._live().steps()
        taps = [s["stage"] for s in steps if not s["covers"]]
        stages = [s.name for s in model.graph]
        with model.session(max(model._room(past + T), past + T)) as session:
            if before is not None:
                session.forward([before])
            out = session.forward([ids], watch=stages + taps, all_rows=True, record=True)
            self.executed = out.executed
            self.keys = {s.name: session._core.cache(0, s.layer, s.cache == "values") for s in model.graph if s.cache}
        positions = np.arange(past, past + T, dtype=np.int32)
        self.values: dict[str, np.ndarray] = {"tokens": ids, "positions": positions}
        for capture in out.captures:
            data = capture["data"]
            if capture["q8"]:
                data = np.ascontiguousarray(data).view(quantize_q8.BLOCK)[..., 0]
            elif capture["positions"]:
                data = data.reshape(T, capture["shape"][1], past + T)
            self.values[capture["name"]] = data

    def reads(self, op: str, names: list[str]) -> list[np.ndarray]:
        cached = ops.describe(op)["per_sequence"]
        return [self.keys[n] if cached and i > 0 and n in self.keys else self.values[n] for i, n in enumerate(names)]


def _numpy(model: Model, ids: np.ndarray) -> NumpyExecutor:
    """The references over the model's graph, as a run of these tokens takes them."""
    exact, long = model.numerics == "exact", len(ids) > model.graph.long_context > 0
    return NumpyExecutor(model.graph, model.file, exact=exact, kv=model.kv, long=long)


def _isolate_numpy(trace: _Trace, reference: NumpyExecutor) -> Iterator[Row]:
    """Each kernel of side a against its NumPy reference; the reference's graph decides op, weights and numbers."""
    for e in trace.executed:
        stage, op = e["stage"], e["op"]
        weights, attributes = [Weight(**w) for w in e["weights"]], e["attributes"]
        if stage in reference.graph and len(e["covers"]) == 1:
            own = reference.graph[stage]
            op, weights, attributes = own.op, own.weights, own.attributes
        elif e["covers"]:
            weights, attributes = _fused_arguments(e, reference)
        reads = trace.reads(op, e["reads"])
        expected, magnitude = reference.call(op, reads, weights, attributes)
        kernel = f"{e['op']}/{e['target']}"
        info = reference.weights.info
        stored = ", ".join(f"{w.tensor} ({info[w.tensor].format})" for w in weights if w.tensor in info)
        actual = trace.values[stage]
        if op == "quantize_q8":
            same = np.array([actual[n].tobytes() == expected[n].tobytes() for n in ("q", "d", "start", "total")])
            yield _row(stage, op, kernel, "numpy", np.where(same, 0.0, 1.0), np.zeros(len(same)), 1.0, 0)
            continue
        row = _row(
            stage,
            op,
            kernel,
            "numpy",
            actual,
            expected.reshape(actual.shape),
            np.broadcast_to(magnitude, expected.shape).reshape(actual.shape),
            ops.definition(op).UNITS,
        )
        row.weights = stored
        yield row
        if stage in trace.keys:
            kept = trace.keys[stage][-len(actual) :]
            with np.errstate(over="ignore"):
                want = actual.astype(kept.dtype)
            yield _row(
                f"{stage}@cache",
                "copy",
                f"cache/{kept.dtype}",
                "numpy",
                kept.astype(np.float64),
                want.astype(np.float64),
                1.0,
                0,
            )


def _fused_arguments(e: dict[str, Any], reference: NumpyExecutor) -> tuple[list[Weight], dict[str, float]]:
    """Weights and numbers of a fused step as the reference's graph has them in the stages it covers."""
    if any(name not in reference.graph for name in e["covers"]):
        return [Weight(**w) for w in e["weights"]], e["attributes"]
    own = [s for s in (reference.graph[name] for name in e["covers"]) if s.op != "attention_sink"]  # beside the chain
    return [w for s in own for w in s.weights], {k: v for s in own for k, v in s.attributes.items()}


def _isolate_model(trace: _Trace, other: Model) -> Iterator[Row]:
    """Each stage of side a against side b's own kernel and graph on the same inputs."""
    b = _numpy(other, trace.ids)
    targets = {s["stage"]: f"{s['op']}/{s['target']}" for s in other._live().steps()}
    T, S = len(trace.ids), int(trace.values["positions"][-1]) + 1
    single = {e["stage"]: e for e in trace.executed if len(e["covers"]) == 1}
    for e in trace.executed:
        stage = e["stage"]
        if not e["covers"] or stage not in other.graph:
            continue
        if len(e["covers"]) == 1 and e is not single[stage]:
            continue
        own = other.graph[stage]
        absent = [n for n in own.reads if n not in trace.values]
        if absent:
            raise ArgumentError(
                f"{stage} reads {absent[0]} in {other.name}, and {trace.model.name} has no such stage",
                hint="compare models of one architecture",
            )
        reads = [trace.values[n] for n in own.reads]
        if ops.describe(own.op)["per_sequence"]:
            reads = trace.reads(own.op, own.reads)
        taps = [n for n in e["reads"] if "@" in n]
        q8 = own.op in PRODUCTS and b.takes_q8(own.weights[0])
        if q8:
            reads[0] = trace.values[taps[0]] if taps and len(e["covers"]) == 1 else quantize_q8.reference(reads[0])
        expected = other._live().run_stage(
            _stage_dict(other, own.name, S), [_plain(r) for r in reads], shape_of(own, T, S)
        )
        _, magnitude = b.call(own.op, reads, own.weights, own.attributes)
        actual = trace.values[stage]
        if actual.size != expected.size:
            raise ArgumentError(
                f"{stage} is {list(actual.shape)} in {trace.model.name} and {list(expected.shape)} in {other.name}",
                hint="compare models of one architecture and size",
            )
        units = ops.definition(own.op).UNITS + ops.definition(e["op"]).UNITS
        if own.op in PRODUCTS and q8 != bool(taps):
            # The two sides round activations differently: one step of 1/127 of the largest of 32, in every term.
            units += 2.0**24 / 127
        yield _row(
            stage,
            own.op,
            f"{e['op']}/{e['target']}",
            targets.get(stage, own.op),
            actual,
            expected.reshape(actual.shape),
            magnitude.reshape(actual.shape),
            units,
        )


def _stage_dict(model: Model, name: str, T: int) -> dict[str, Any]:
    """A stage as the core takes it, with the constants that a run of T tokens takes."""
    graph = model._live().graph
    stage = next(s for s in graph["stages"] if s["name"] == name)
    for w in stage["weights"] if T > graph["long_context"] > 0 else ():
        if f"{w['tensor']}.long" in graph["constants"]:
            w["tensor"] += ".long"
    return stage


def _plain(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a.astype(np.int32) if a.dtype.kind == "i" else a)


def _cached(model: Model) -> set[str]:
    return {s.name for s in model.graph if s.cache}


def _worse(together: Iterator[Row], alone: Iterator[Row], last: int) -> Iterator[Row]:
    """Of a stage's rows for all tokens together and for the last one alone, as when text is generated, the first; or
    the second where only that is wrong. Kernels have other paths for one token."""
    for row, other in zip(together, alone, strict=True):
        if row.ok and not other.ok:
            other.at[0] += last
            other.reference += ", the last token alone"
            row = other
        yield row


def _accumulate(trace: _Trace, other: Model | str, limit: float) -> Iterator[Row]:
    model = trace.model
    if isinstance(other, Model):
        _, cache = other.run_with_cache(trace.ids, budget=None)
        arrays = {n: a[0].transpose(1, 0, 2) if n.endswith(("scores", "pattern")) else a[0] for n, a in cache.items()}
        pairs: Any = arrays.items()
    else:
        pairs = _numpy(model, trace.ids).run(trace.ids)
    kernels = {e["stage"]: f"{e['op']}/{e['target']}" for e in trace.executed}
    for name, expected in pairs:
        if name not in trace.values:
            continue
        actual = trace.values[name].reshape(expected.shape)
        rel = relative(actual, expected)
        with np.errstate(invalid="ignore"):
            off = np.abs(np.where(np.isneginf(expected), 0, np.asarray(actual, np.float64) - expected))
        at = np.unravel_index(int(np.nanargmax(off)) if np.isfinite(off).any() else 0, off.shape)
        yield Row(
            name,
            model.graph[name].op,
            kernels[name],
            "numpy" if other == "numpy" else "model b",
            float("nan"),
            limit,
            rel,
            [int(i) for i in at],
            float(actual[at]),
            float(expected[at]),
            bool(rel <= limit),
        )


def compare(
    a: Model,
    b: Model | str,
    tokens: Any,
    *,
    mode: str = "isolate",
    limit: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Runs `tokens` (one sequence) through model a and compares every stage with b: another Model, or "numpy".

    mode      "isolate" or "accumulate", see above
    limit     mode accumulate: largest relative error of a stage that still counts as rounding
    progress  called with (stages done, stages in all)

    In mode isolate the last token also runs alone, as when text is generated; its row stands where only it is wrong.
    Hooks that are set on `a` act, so a planted fault is found at its stage; then the tokens run together only.

    Returns a Report: truthy when every stage is right; `.first` is the first wrong one or None. Raises ArgumentError
    for other modes and sides."""
    if mode not in ("isolate", "accumulate"):
        raise ArgumentError(f"mode is {mode!r}, expected 'isolate' or 'accumulate'")
    if not isinstance(b, Model) and b != "numpy":
        raise ArgumentError(f"b is {b!r}, expected a Model or 'numpy'")
    arrays, _ = a._token_arrays(tokens)
    if len(arrays) != 1:
        raise ArgumentError(f"compare runs one sequence, got {len(arrays)}", hint="call it once per sequence")
    trace = _Trace(a, arrays[0])
    if mode == "accumulate":
        rows = _accumulate(trace, b, ACCUMULATED[a.numerics] if limit is None else limit)
    else:
        isolate: Callable[[_Trace], Iterator[Row]]
        if isinstance(b, Model):
            isolate = functools.partial(_isolate_model, other=b)
        else:
            isolate = functools.partial(_isolate_numpy, reference=_numpy(a, arrays[0]))
        rows = isolate(trace)
        same_rows = not isinstance(b, Model) or _cached(a) == _cached(b)  # those that the last token looks back on
        if len(arrays[0]) > 1 and not a._active.now() and same_rows:
            alone = _Trace(a, arrays[0][-1:], arrays[0][:-1])
            rows = _worse(rows, isolate(alone), len(arrays[0]) - 1)
    done = []
    for row in rows:
        done.append(row)
        if progress:
            progress(len(done), len(trace.executed))
    order = {name: i for i, name in enumerate(a.stages(kernel_taps=True))}
    done.sort(key=lambda r: order.get(r.stage.removesuffix("@cache"), len(order)))
    other = f"{b.name} on {b.device}" if isinstance(b, Model) else "NumPy float64"
    return Report(
        title=f"{a.name} on {a.device} against {other}",
        mode=mode,
        rows=done,
        tokens=arrays[0].tolist(),
        manifest={"a": a.manifest(), "b": b.manifest() if isinstance(b, Model) else "numpy"},
    )


def row_dict(row: Row) -> dict[str, Any]:
    """A row as JSON has it; what is not finite becomes "nan", "inf" or "-inf"."""
    return plain({**asdict(row), "verdict": row.verdict})
