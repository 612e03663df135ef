"""Where a model's time goes: every kind of stage with its time, beside the least that its bytes and operations take."""

from __future__ import annotations

import re
import statistics
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cutaway import ops
from cutaway.model import Model
from cutaway.plan import CHUNK
from cutaway.roofline import Peak
from cutaway.session import Session


@dataclass
class StageTime:
    """All calls of a stage's kernel in one pass: "blocks.*.attn.q" is that of every layer."""

    stage: str
    kernel: str
    calls: int
    seconds: float
    bytes: float
    operations: float
    floor: float  # the least seconds that reading so much, or computing so much, takes here
    bound: str  # "memory" or "compute": which of them
    busy: float = 0.0  # share of the threads' time that went to the kernel; the rest went to waiting for each other

    @property
    def lost(self) -> float:
        return self.seconds - self.floor

    def to_dict(self) -> dict[str, Any]:
        """Its fields, and gbs, share (of the peak) and lost (seconds above the floor)."""
        gbs, share = self.bytes / self.seconds / 1e9, self.floor / self.seconds
        return asdict(self) | {"gbs": gbs, "share": share, "lost": self.lost}


class Costs:
    """Bytes and operations of what a model ran, by each op's own cost()."""

    def __init__(self, model: Model) -> None:
        self.model, self.rng = model, np.random.default_rng(0)
        self.size = {_key(w["weight"]): w["bytes"] for w in model._live().weights()}
        self.half = model.kv == "f16"
        self.stages = {s.name: s for s in model.graph}

    def of(self, ran: dict[str, Any], T: int, S: int) -> tuple[float, float]:
        """Of one kernel of a pass of T tokens, behind which S are in the cache."""
        op = ops.describe(ran["op"])
        given: dict[str, Any] = dict(ran["attributes"])
        window = int(given.get("window", 0))
        for i, (argument, read) in enumerate(zip(op["reads"], ran["reads"], strict=False)):
            cached = op["per_sequence"] and i > 0 and self.stages[read].cache
            rows = min(S, T + window) if window else S
            given[argument.removeprefix("?")] = self._cached(read, rows) if cached else self._read(read, T, S)
        more = 0.0
        for argument, ref in zip(op["weights"], ran["weights"], strict=False):
            shape = ref["shape"] if len(ref["shape"]) == 3 else [ref["rows"], *ref["shape"][1:]]
            given[argument.removeprefix("?")] = _hollow(shape)
            elements = float(np.prod(shape))
            used = 1.0
            if ran["op"].startswith("experts"):  # of its matrices those that some token chose
                used = len(np.unique(given["indices"])) / shape[0]
            if len(shape) > 1 and ran["op"] != "embed":  # cost() counts four bytes an element
                more += used * (self.size.get(_key(ref), 4 * elements) - 4 * elements)
        moved, operations = ops.definition(ran["op"]).cost(**given)
        return max(0.0, moved + more), operations

    def _read(self, name: str, T: int, S: int) -> np.ndarray:
        if name in ("tokens", "positions"):
            return np.zeros(T, np.int32)
        stage = self.stages[self.model.graph.aliases.get(name, name).partition("@")[0]]
        shape = [{-1: T, -2: S}.get(n, n) for n in stage.shape]
        if stage.op == "top_k":
            experts = self.stages[stage.reads[0]].shape[-1]
            return np.stack([self.rng.permutation(experts)[: shape[-1]] for _ in range(T)])
        return _hollow(shape)

    def _cached(self, name: str, rows: int) -> np.ndarray:
        shape = [rows, *self.stages[name].shape[1:]]
        return _hollow(shape, np.float16 if self.half else np.float32)


def _key(ref: dict[str, Any]) -> tuple[Any, ...]:
    return ref["tensor"], ref["first_row"], ref["rows"]


def _hollow(shape: list[int], dtype: Any = np.float32) -> np.ndarray:
    """An array with a shape and no memory."""
    return np.broadcast_to(dtype(0), shape)


def stage_times(model: Model, prompt: np.ndarray, new: np.ndarray, peak: Peak) -> dict[str, list[StageTime]]:
    """Of a prompt's pass (its first CHUNK tokens) and of a new token behind it: "prefill" and "decode", longest first.

    Each kernel's time is the median over four prompts, or over the new tokens. Reading and computing are held against
    the machine's peaks; of what lies in a cache already, a kernel may read more than its memory gives."""
    prompt = prompt[:CHUNK]
    prefills: list[list[dict[str, Any]]] = []
    with Session(model, len(prompt) + len(new)) as session:
        for _ in range(5):
            session.rewind(0)
            prefills.append(session.forward([prompt], record=True).executed)
        decodes = [session.forward([new[i : i + 1]], record=True).executed for i in range(len(new))]
    T, S = len(prompt), len(prompt) + (len(new) + 1) // 2
    return {"prefill": _table(model, prefills[1:], T, T, peak), "decode": _table(model, decodes, 1, S, peak)}


def _table(model: Model, passes: list[list[dict[str, Any]]], T: int, S: int, peak: Peak) -> list[StageTime]:
    costs = Costs(model)
    found: dict[tuple[str, str], StageTime] = {}
    threads = model.manifest()["threads"]
    behind = {s.name for s in model.graph if model.graph.is_behind_layers(s.name)}
    nothing = {s["stage"] for s in model._live().steps() if s["same"]}  # a copy that lies where its source does
    for calls in zip(*passes, strict=True):
        if calls[0]["stage"] in nothing:
            continue
        ran, seconds = calls[0], statistics.median(c["seconds"] for c in calls)
        rows = 1 if ran["stage"].partition("@")[0] in behind else T
        moved, operations = costs.of(ran, rows, S)
        codes = any(read.endswith("@act_q8") for read in ran["reads"])
        floor = peak.seconds(moved, operations, codes)
        kind, kernel = re.sub(r"^blocks\.\d+\.", "blocks.*.", ran["stage"]), f"{ran['op']}/{ran['target']}"
        row = found.setdefault((kind, kernel), StageTime(kind, kernel, 0, 0.0, 0.0, 0.0, 0.0, "memory"))
        row.calls, row.seconds, row.floor = row.calls + 1, row.seconds + seconds, row.floor + floor
        row.bytes, row.operations = row.bytes + moved, row.operations + operations
        row.bound = "memory" if floor <= peak.seconds(moved, 0, codes) else "compute"
        row.busy += statistics.median(c["busy"] for c in calls)
    for row in found.values():
        row.busy /= threads * row.seconds
    return sorted(found.values(), key=lambda r: -r.seconds)
