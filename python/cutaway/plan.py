"""ct.plan: the memory that a model needs, from its file's header alone, and whether it fits before a byte is read; and
the memory that a session or a call will take, before it takes any."""

from __future__ import annotations

import functools
import math
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutaway import _core
from cutaway.errors import AllocationFailed, ArgumentError, DeviceError, OutOfMemoryError
from cutaway.graph import Graph, Stage, Weight
from cutaway.sizes import parse_bytes, size

if TYPE_CHECKING:
    from cutaway.model import Model

CHUNK = 256  # tokens that go through the graph together, as csrc/run/forward.cpp has it
WINDOW_STEP = 512  # positions that a layer with a window drops together, csrc/run/cache.h
RESERVE = 4 << 20  # bytes besides 3 %; seen 2.2 MB over the sum of the parts, whatever the length
STRIP_ROWS = 16  # of the packed layout, kernels/formats/packed.h
# Metadata, vocabulary, configuration and graph as C++ and Python objects, for each byte of the file's header. Measured:
# 22.6 MB for SmolLM2's header of 1.79 MB.
OBJECTS_PER_HEADER_BYTE = 12.6
# What a session or call may take without asking what there is, which costs 0.3 ms: no more than any process moves by.
UNASKED = 16 << 20


@dataclass
class Plan:
    """Bytes by use, what there is, and what would help. Prints as a table; truthy when it fits."""

    file: str
    device: str
    options: dict[str, Any]  # n_ctx, batch, kv, numerics, chunk
    formats: dict[str, int]  # weights by format, as they lie in memory
    parts: dict[str, int]  # "weights", "kv_cache", "kv_growth", "activations", "logits", "objects", "reserve"; a
    # session or a call, which the model lies below already, has no "weights" and "objects", and may have "captures"
    budget: int
    limit: str  # which limit the budget is: "MemAvailable", "cgroup memory.max", "RLIMIT_AS", "max_ram"
    remedies: list[dict[str, Any]] = field(default_factory=list)  # option, value, saves, fits
    what: str = "model"  # or "session", "call"

    @property
    def need(self) -> int:
        return sum(self.parts.values())

    @property
    def fits(self) -> bool:
        return self.need <= self.budget

    def __bool__(self) -> bool:
        return self.fits

    def to_dict(self) -> dict[str, Any]:
        """Plain values with stable keys: file, device, need, budget, limit, fits, parts, weights, options, remedies."""
        return {
            "file": self.file,
            "device": self.device,
            "need": self.need,
            "budget": self.budget,
            "limit": self.limit,
            "fits": self.fits,
            "parts": dict(self.parts),
            "weights": dict(self.formats),
            "options": dict(self.options),
            "remedies": [dict(r) for r in self.remedies],
        }

    def headline(self) -> str:
        """One line: what is needed and what there is."""
        turn = "and" if self.fits else "but"
        there = f"{size(self.budget)} is available ({self.limit})"
        return f"{self.what} needs {size(self.need)} on {self.device} {turn} {there}"

    def table(self) -> str:
        """The lines below the headline: every part with what it is for, then the remedies."""
        o, p = self.options, self.parts
        mix = ", ".join(f"{name} {size(n)}" for name, n in sorted(self.formats.items(), key=lambda i: -i[1]))
        length, batch = ("n_ctx", "batch") if self.what == "model" else ("tokens", "sequences")
        said = {
            "weights": mix,
            "kv_cache": f"{length} {o['n_ctx']} x {batch} {o['batch']}, {o['kv']}",
            "kv_growth": "the smaller cache, while a larger one is filled from it",
            "activations": f"chunk {o['chunk']}",
            "logits": f"of {o.get('rows', o['chunk'])} tokens",
            "captures": "what is watched",
            "objects": "metadata, vocabulary, graph",
            "reserve": "3 % and 4 MiB: what the allocator rounds up, stacks, the arrays of a call",
        }
        lines = [(name.replace("_", " "), p[name], text) for name, text in said.items() if name in p]
        out = [f"  {name:<12} {size(n):>10}   {text}" for name, n, text in lines]
        if self.remedies:
            shown = lambda r: f"{r['option']}={r['value']!r} (saves {size(r['saves'])})"
            enough = [shown(r) for r in self.remedies if r["fits"]]
            others = [shown(r) for r in self.remedies if not r["fits"]]
            out.append(
                "  fits with: " + ", ".join(enough) if enough else "  nothing that cutaway can change makes it fit"
            )
            if others:
                out.append("  not enough alone: " + ", ".join(others))
        return "\n".join(out)

    def __repr__(self) -> str:
        return f"{self.headline()}\n{self.table()}"

    def check(self) -> None:
        """Raises AllocationFailed (of a session or a call OutOfMemoryError) with the table when it does not fit."""
        if self.fits:
            return
        enough = [r for r in self.remedies if r["fits"]]
        if self.what != "model":
            verb = "open it" if self.what == "session" else "run it"
            hint = f"{verb} with {enough[0]['option']}={enough[0]['value']!r}" if enough else _SMALLER[self.what]
            raise OutOfMemoryError(repr(self), hint=hint, **self.to_dict())
        hint = f"load with {enough[0]['option']}={enough[0]['value']!r}" if enough else "use a smaller model or format"
        raise AllocationFailed(repr(self), hint=hint, bytes=self.need, budget=self.budget, limit=self.limit)


def plan(
    path: str | os.PathLike[str],
    *,
    n_ctx: int | None = None,
    device: str = "cpu",
    numerics: str = "fast",
    kv: str | None = None,
    batch: int = 1,
    max_ram: int | str | None = None,
) -> Plan:
    """What the model would take in memory, with the options of ct.load; reads the header only.

    n_ctx    most tokens of a sequence; default as ct.load
    batch    sequences that run at once
    max_ram  a smaller budget than what this process may have: bytes, or "2GiB"

    Counts the cache full to n_ctx and a whole chunk's logits. Raises what ct.load raises for a file that it cannot run,
    and ArgumentError for options out of range."""
    from cutaway.loading import find  # which calls plan_file

    if device != "cpu":
        raise DeviceError(
            f"ct.plan counts the CPU's memory only, got device {device!r}",
            hint="ct.load on a CUDA device raises AllocationFailed (E004) where the weights do not fit",
        )
    if numerics not in ("fast", "exact"):
        raise ArgumentError(f"numerics is {numerics!r}, expected 'fast' or 'exact'")
    if kv not in (None, "f16", "f32"):
        raise ArgumentError(f"kv is {kv!r}, expected 'f16' or 'f32'")
    for name, value in (("n_ctx", n_ctx), ("batch", batch)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1 << 24):
            raise ArgumentError(f"{name} is {value!r}, expected an integer from 1 to 16777216")
    return plan_file(
        _core.open_model(find(path), header_only=True),
        n_ctx=n_ctx,
        numerics=numerics,
        kv=kv,
        batch=batch,
        max_ram=max_ram,
    )


def plan_file(
    file: Any,
    *,
    n_ctx: int | None = None,
    numerics: str = "fast",
    kv: str | None = None,
    batch: int = 1,
    max_ram: int | str | None = None,
) -> Plan:
    """`plan` of a file that is open; its weights are not read."""
    config, graph = _core.read_config(file), Graph(_core.read_graph(file))
    formats = weight_bytes(file, graph)
    arena = _core.arena_floats(file, numerics == "exact")
    budget, limit = host_budget()
    if max_ram is not None and parse_bytes(max_ram) < budget:
        budget, limit = parse_bytes(max_ram), "max_ram"

    beside = os.path.join(file.folder, "tokenizer.json")  # which a GGUF file has in its header
    tokenizer = os.path.getsize(beside) if file.folder and os.path.isfile(beside) else 0

    def make(n_ctx: int, kv: str, batch: int) -> Plan:
        chunk = min(CHUNK, n_ctx * batch)
        parts = {
            "weights": sum(formats.values()),
            **_running(config, arena, graph.V, n_ctx, kv, batch, chunk, chunk),
            "objects": int(OBJECTS_PER_HEADER_BYTE * (file.header_bytes + tokenizer)),
        }
        parts["reserve"] = RESERVE + sum(parts.values()) * 3 // 100
        options = {"n_ctx": n_ctx, "batch": batch, "kv": kv, "numerics": numerics, "chunk": chunk}
        return Plan(Path(file.folder or file.parts[0]).name, "cpu", options, formats, parts, budget, limit)

    wanted = n_ctx if n_ctx is not None else min(config["context"], 8192)
    form = kv or ("f32" if numerics == "exact" else "f16")
    result = make(wanted, form, batch)
    if not result.fits:
        result.remedies = _remedies(result, wanted, form, batch, make)
    return result


_SMALLER = {
    "session": "use a shorter n_ctx or fewer sequences, or close other sessions",
    "call": "run fewer tokens or sequences at once, or watch fewer stages",
}


def _running(
    config: dict[str, Any], arena: int, V: int, n_ctx: int, kv: str, batch: int, chunk: int, rows: int
) -> dict[str, int]:
    """What sequences take besides the model; `rows` of logits."""
    row = 2 * config["G"] * config["E"] * (2 if kv == "f16" else 4)  # keys and values of a token in one layer
    windowed = sum(config["windowed"])
    most = min(n_ctx, config["window"] - 1 + WINDOW_STEP + CHUNK)  # positions that a layer with a window keeps
    aside = most if most < n_ctx else _smaller(n_ctx)
    return {
        "kv_cache": row * ((config["L"] - windowed) * n_ctx + windowed * most) * batch,
        "kv_growth": row * ((config["L"] - windowed) * _smaller(n_ctx) + windowed * aside),
        "activations": 4 * arena * chunk,
        "logits": 4 * V * rows,
    }


def check_session(model: Model, n_ctx: int, kv: str, sequences: int) -> None:
    """Raises OutOfMemoryError, with what there is and what would fit, for sequences that full do not fit."""
    if model.device != "cpu":
        return  # its driver says what there is when it is asked for memory, and cutaway raises what it says
    config, arena = model._live().config, model._live().arena_floats()

    def make(n_ctx: int, kv: str, batch: int, room: tuple[int, str] = (UNASKED, "")) -> Plan:
        chunk = min(CHUNK, n_ctx * batch)
        parts = _running(config, arena, config["V"], n_ctx, kv, batch, chunk, chunk)
        parts["reserve"] = RESERVE + sum(parts.values()) * 3 // 100
        options = {"n_ctx": n_ctx, "batch": batch, "kv": kv, "numerics": model.numerics, "chunk": chunk}
        return Plan(model.path.name, "cpu", options, {}, parts, *room, what="session")

    if make(n_ctx, kv, sequences).fits:
        return
    room = host_budget()
    result = make(n_ctx, kv, sequences, room)
    if not result.fits:
        tried = _remedies(result, n_ctx, kv, sequences, lambda n, k, b: make(n, k, b, room))
        result.remedies = [{**r, "option": "sequences" if r["option"] == "batch" else r["option"]} for r in tried]
        result.check()


def check_call(
    model: Model, lengths: list[int], kv: str, *, rows: int, captures: int = 0, together: bool = False
) -> None:
    """The same for a call that runs sequences of these lengths: with `rows` of logits and bytes of captures; together:
    all tokens in one chunk, as hooks want them."""
    if model.device != "cpu":
        return
    config, arena, tokens = model._live().config, model._live().arena_floats(), sum(lengths)
    chunk = tokens if together else min(CHUNK, tokens)
    parts = _running(config, arena, config["V"], max(lengths), kv, len(lengths), chunk, rows) | {"captures": captures}
    options = {"n_ctx": max(lengths), "batch": len(lengths), "kv": kv, "numerics": model.numerics, "chunk": chunk}
    if sum(parts.values()) > UNASKED:
        Plan(model.path.name, "cpu", {**options, "rows": rows}, {}, parts, *host_budget(), what="call").check()


def _smaller(n_ctx: int) -> int:
    """Tokens of the cache that a full one is copied from: rooms double from 64, and the last is n_ctx."""
    room = 64
    if n_ctx <= room:
        return 0
    while room * 2 < n_ctx:
        room *= 2
    return room


def _remedies(
    now: Plan, n_ctx: int, kv: str, batch: int, make: Callable[[int, str, int], Plan]
) -> list[dict[str, Any]]:
    """Each option changed alone and planned again; for n_ctx the largest power of two that fits, else the smallest."""
    tried: list[tuple[str, Any, Plan]] = []
    lengths = [n for n in (1 << s for s in range(23, 7, -1)) if n < n_ctx]
    if lengths:
        best = next((n for n in lengths if make(n, kv, batch).fits), lengths[-1])
        tried.append(("n_ctx", best, make(best, kv, batch)))
    if kv == "f32":
        tried.append(("kv", "f16", make(n_ctx, "f16", batch)))
    if batch > 1:
        best = next((b for b in range(batch - 1, 0, -1) if make(n_ctx, kv, b).fits), 1)
        tried.append(("batch", best, make(n_ctx, kv, best)))
    return [
        {"option": option, "value": value, "saves": now.need - other.need, "fits": other.fits}
        for option, value, other in tried
        if other.need < now.need
    ]


# --- weights ----------------------------------------------------------------------------------------------------------


def weight_bytes(file: Any, graph: Graph) -> dict[str, int]:
    """Bytes of the weights by format as they will lie in memory; what several stages use is counted once. f16 and bf16
    may take a sixteenth less, if their values are below 2: see kernels/formats/packed.h."""
    tensors = {t.name: t for t in file.tensors}
    known = {f["name"]: f for f in _core.formats()}
    arguments = {op["name"]: op["weights"] for op in _core.ops()}
    seen: set[tuple[Any, ...]] = set()
    out: dict[str, int] = {}
    for stage, i, w in _uses(graph):
        if w.tensor.startswith("$"):
            key: tuple[Any, ...] = (w.tensor,)
            name, n = "f64", 8 * len(graph.constants[w.tensor])
        else:
            packed = arguments[stage.op][min(i, len(arguments[stage.op]) - 1)] != "?bias" and len(w.shape) >= 2
            key = (w.tensor, tuple(w.shape), w.first_row, w.rows, w.heads, packed)
            name = tensors[w.tensor].format if w.tensor in tensors else ""
            if name not in known:
                continue  # loading says which tensor is missing, or stored in a way that we do not read
            shape = [w.rows, *w.shape[1:]]
            n = packed_bytes(known[name], shape) if packed else 4 * math.prod(shape)
        if key not in seen:
            seen.add(key)
            out[name] = out.get(name, 0) + n
    return out


def _uses(graph: Graph) -> list[tuple[Stage, int, Weight]]:
    return [(stage, i, w) for stage in graph for i, w in enumerate(stage.weights) if w.tensor]


def packed_bytes(f: dict[str, Any], shape: list[int]) -> int:
    """Bytes of a weight [N, K] or [X, N, K] in strips of sixteen rows, as kernels/formats/packed.h lays it out."""
    *experts, N, K = shape
    strips = math.prod(experts) * -(-N // STRIP_ROWS)
    return strips * (K // f["cell"]) * f["cell_bytes"]


# --- what there is ----------------------------------------------------------------------------------------------------


def host_budget() -> tuple[int, str]:
    """Bytes that this process may still take, and which limit says so."""
    limits = [("MemAvailable", _mem_available()), ("cgroup memory.max", _cgroup()), ("RLIMIT_AS", _address_space())]
    found = [(n, name) for name, n in limits if n is not None]
    return min(found) if found else (1 << 62, "no limit known")


def _mem_available() -> int | None:
    try:
        with open("/proc/meminfo") as f:
            for line in f:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _cgroup(root: str = "/sys/fs/cgroup", own: str = "/proc/self/cgroup") -> int | None:
    """The tightest of this process's groups, version 2 or 1; pages of files that can be dropped count as free."""
    try:
        with open(own) as f:
            folders = _group_folders(root, f.read())
    except OSError:
        return None
    return min((room for folder in folders if (room := _room(*folder)) is not None), default=None)


@functools.cache
def _group_folders(root: str, groups: str) -> list[tuple[str, str, str]]:
    """Folder, file of the limit and file of what is used, for each group of /proc/self/cgroup and those around it.

    Every session asks for its room: what lies where is looked up once."""
    found = []
    for line in groups.splitlines():
        _, controllers, where = line.split(":", 2)
        if controllers not in ("", "memory") and "memory" not in controllers.split(","):
            continue
        base = Path(root) if not controllers else Path(root) / "memory"
        names = (
            ("memory.max", "memory.current") if not controllers else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        )
        folder = base / where.lstrip("/")
        around = [at for at in (folder, *folder.parents) if at.is_relative_to(base)]
        found += [(str(at), *names) for at in around]
    return found


def _room(folder: str, most: str, used: str) -> int | None:
    def read(name: str) -> str:
        with open(f"{folder}/{name}") as f:
            return f.read()

    try:
        limit = read(most).strip()
        if limit == "max" or int(limit) >= 1 << 60:
            return None
        stat = dict(line.split() for line in read("memory.stat").splitlines())
        return max(0, int(limit) - int(read(used)) + int(stat.get("inactive_file", 0)))
    except (OSError, ValueError):
        return None


def _address_space() -> int | None:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        with open("/proc/self/statm") as f:
            used = int(f.read().split()[0]) * resource.getpagesize()
    except OSError:
        return None
    return max(0, limit - used)
