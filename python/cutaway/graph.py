"""The graph of a model as data: print it, copy it, edit it, run it with `model.with_graph(graph)`.

>>> import cutaway as ct
>>> graph = ct.load("tiny:llama").graph.copy()
>>> graph["blocks.0.ln1.scale"].attributes["eps"] = 1e-3
>>> graph["blocks.0.attn.rot_q"].op
'rope'
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from cutaway.errors import ArgumentError
from cutaway.output import counted, table


@dataclass
class Weight:
    """A tensor of the file as a stage uses it: rows [first_row, first_row + rows); a constant when it begins with "$".

    heads > 0: each head's rows lie in adjacent pairs in the file and are used in halves (GGUF's llama q and k)."""

    tensor: str
    shape: list[int]
    first_row: int = 0
    rows: int = 0
    heads: int = 0


@dataclass
class Stage:
    """One use of an op: it reads stages before it (or "tokens", "positions") and writes the tensor that bears its name.

    shape: -1 is T, the tokens of a call; -2 is S, the positions so far."""

    name: str
    op: str
    reads: list[str]
    weights: list[Weight] = field(default_factory=list)
    attributes: dict[str, float] = field(default_factory=dict)
    shape: list[int] = field(default_factory=list)
    axes: str = ""
    cache: str = ""
    layer: int = -1


class Graph:
    """The ordered list of stages of a model."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.arch: str = data["arch"]
        self.L: int = data["L"]
        self.V: int = data["V"]
        self.kv_width: int = data["kv_width"]
        self.constants: dict[str, list[float]] = data["constants"]
        self.aliases: dict[str, str] = data["aliases"]
        self.long_context: int = data["long_context"]  # beyond it sessions take the constants called NAME.long
        self.stages = [Stage(**{**s, "weights": [Weight(**w) for w in s["weights"]]}) for s in data["stages"]]
        self._places: dict[str, int] = {}  # where stages stood when one was looked for last

    def to_dict(self) -> dict[str, Any]:
        """Plain values, from which Graph(...) makes the same graph."""
        return {
            "arch": self.arch,
            "L": self.L,
            "V": self.V,
            "kv_width": self.kv_width,
            "constants": self.constants,
            "aliases": self.aliases,
            "long_context": self.long_context,
            "stages": [asdict(s) for s in self.stages],
        }

    def copy(self) -> Graph:
        """A graph of its own, to be edited."""
        return copy.deepcopy(self)

    def index(self, name: str) -> int:
        """Where the stage (or what an alias names) stands. Raises ArgumentError."""
        name = self.aliases.get(name, name)
        at = self._places.get(name, -1)
        if not (0 <= at < len(self.stages) and self.stages[at].name == name):  # first asked, or edited since
            self._places = {stage.name: i for i, stage in enumerate(self.stages)}
            at = self._places.get(name, -1)
        if at < 0:
            raise ArgumentError(f"there is no stage {name!r}", name=name)
        return at

    def __getitem__(self, name: str) -> Stage:
        return self.stages[self.index(name)]

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def __len__(self) -> int:
        return len(self.stages)

    def __contains__(self, name: str) -> bool:
        return name in self.aliases or any(s.name == name for s in self.stages)

    def is_behind_layers(self, name: str) -> bool:
        """Whether the stage comes after the last layer, where only the rows that give logits need to run."""
        return all(self.stages[i].layer < 0 for i in range(self.index(name), len(self.stages)))

    def insert_after(self, name: str, stage: Stage) -> None:
        """Adds a stage behind `name`; let others read it by changing their `reads`."""
        self.stages.insert(self.index(name) + 1, stage)

    def remove(self, name: str, instead: str | None = None) -> None:
        """Takes a stage out; what read it reads `instead`, or what the stage itself read first."""
        stage = self.stages.pop(self.index(name))
        into = instead or stage.reads[0]
        for other in self.stages:
            other.reads = [into if r == stage.name else r for r in other.reads]
        self.aliases = {a: into if n == stage.name else n for a, n in self.aliases.items()}

    def drop_layer(self, layer: int) -> None:
        """Takes a whole layer out: what read its output reads its input."""
        own = [s for s in self.stages if s.layer == layer]
        if not own:
            raise ArgumentError(f"there is no layer {layer}; the graph has {self.L}")
        inside = {s.name for s in own}
        start = next(r for r in own[0].reads if r not in inside)
        if own[0].op != "copy":
            raise ArgumentError(f"layer {layer} does not begin with a copy of one stage, so it cannot be dropped whole")
        self.stages = [s for s in self.stages if s.layer != layer]
        for other in self.stages:
            other.reads = [start if r in inside else r for r in other.reads]
        self.aliases = {a: n for a, n in self.aliases.items() if n not in inside}

    def table(self) -> str:
        """One line a stage: name, axes, op, what it reads, its weights and numbers."""
        rows = [("stage", "shape", "op", "reads", "weights")]
        for s in self.stages:
            shape = " ".join(a if n < 0 else f"{a}={n}" for a, n in zip(s.axes.split(), s.shape, strict=False))
            numbers = [f"{k}={v:g}" for k, v in s.attributes.items()]
            rows.append((s.name, shape, s.op, ", ".join(s.reads), ", ".join([w.tensor for w in s.weights] + numbers)))
        return table(rows)

    def __repr__(self) -> str:
        return f"Graph of {self.arch}: {len(self.stages)} stages, {self.L} layers\n{self.table()}"


@dataclass
class Kernel:
    """One kernel that runs, and the stages it stands for: more than one where they are fused."""

    name: str  # "rms_norm/avx2"; empty where nothing has to run
    writes: str  # the last of `stages`, or a kernel tap: "blocks.3.ln1.out@act_q8"
    stages: list[str]  # none for a tap
    reads: list[str]
    weights: list[str]  # tensors of the file
    note: str = ""


class Kernels(list[Kernel]):
    """What runs when nobody watches, in order. Prints as a table."""

    def table(self) -> str:
        """One line a kernel: what it writes, the stages it fuses, what it reads."""
        rows = [("kernel", "writes", "with it", "reads")]
        for k in self:
            hidden = ", ".join(n.rpartition(".")[2] for n in k.stages[:-1])
            rows.append((k.name or "-", k.writes, hidden or k.note, ", ".join([*k.reads, *k.weights])))
        return table(rows)

    def __repr__(self) -> str:
        stages = sum(len(k.stages) for k in self)
        return f"{counted(sum(bool(k.name) for k in self), 'kernel')} for {counted(stages, 'stage')}\n{self.table()}"


def kernel_of(step: dict[str, Any]) -> Kernel:
    """A step of the core's plan."""
    name, note = (f"{step['op']}/{step['target']}", "") if not step["same"] else ("", f"the same as {step['same']}")
    weights = [w["tensor"] for w in step["weights"]]
    return Kernel(name, step["stage"], step["covers"], step["reads"], weights, note)


def taps_of(steps: list[dict[str, Any]], graph: Graph) -> dict[str, str]:
    """Every name of a kernel tap and the tap: its own, and those of the products that read it."""
    out: dict[str, str] = {}
    for step in steps:
        for tap in [r for r in step["reads"] if "@" in r] if step["covers"] else [step["stage"]]:
            stage = tap.partition("@")[0]
            for one in [n for n in step["covers"] if graph[n].op == "matmul"] or [stage]:
                out.update({f"{one}@{part}": f"{stage}@{part}" for part in ("act_q8", "act_scale")})
    return out
