"""ct.verify: whether a GGUF file is the model of a Hugging Face folder: numbers, tensors, then activations."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from cutaway import _core
from cutaway.compare import ACCUMULATED, compare
from cutaway.errors import ArgumentError
from cutaway.formats import formats, unpack
from cutaway.loading import find, load
from cutaway.output import plain, table
from cutaway.report import Report
from cutaway.text import folder_tokenizer

# The largest relative error (root mean square) that a format explains on weights as models have them; another order of
# rows or columns gives 1.4. Worst seen on SmolLM2 and the tiny models, quantised by llama-quantize and by us:
# bf16 1.7e-3, q8_0 6e-3, q6_k 0.021, q5_0 0.048, q4_0 0.107, mxfp4 0.123, q3_k 0.16, q2_k 0.31.
EXPLAINED = {"f32": 0.0, "f16": 5e-4, "bf16": 4e-3, "q8_0": 0.02, "q6_k": 0.06, "q5_k": 0.1, "q5_0": 0.1, "q5_1": 0.1}
EXPLAINED |= {"q4_k": 0.2, "q4_0": 0.2, "q4_1": 0.2, "iq4_nl": 0.2, "iq4_xs": 0.2, "mxfp4": 0.25}
EXPLAINED |= {"q3_k": 0.35, "q2_k": 0.6}
ROUNDING = 1e-6  # relative error of tensors that one side computes: rope factors


@dataclass
class TensorRow:
    """One tensor in both."""

    tensor: str
    format: str  # in the GGUF file
    source: str  # in the folder
    same: bool  # all values, to the bit
    rel: float  # root mean square of the difference over that of the folder's values
    limit: float  # what the format explains
    verdict: str  # same, rounded, WRONG, MISSING


@dataclass
class Verification:
    """What ct.verify found. Truthy when the file is the folder's model."""

    gguf: str
    folder: str
    numbers: list[str]  # what the two say otherwise of the model: context, heads, rope, ..
    tensors: list[TensorRow]
    activations: Report | None  # None where the graphs differ, so that there is nothing to compare
    notes: list[str] = field(default_factory=list)

    @property
    def lossless(self) -> bool:
        """Whether every weight is the same to the bit."""
        return all(row.same for row in self.tensors)

    @property
    def ok(self) -> bool:
        """Whether numbers, tensors and activations all agree, as far as the file's formats allow."""
        good = all(row.verdict in ("same", "rounded") for row in self.tensors)
        return not self.numbers and good and self.activations is not None and self.activations.ok

    def __bool__(self) -> bool:
        return self.ok

    def summary(self) -> str:
        """The verdict, with the first thing that is wrong."""
        if self.numbers:
            return f"NOT the same model: {self.numbers[0]}"
        wrong = [row for row in self.tensors if row.verdict not in ("same", "rounded")]
        if wrong:
            row = wrong[0]
            why = "is not in both" if row.verdict == "MISSING" else f"is off by {row.rel:.2e}, {row.format} explains "
            why += "" if row.verdict == "MISSING" else f"{row.limit:g}"
            return f"NOT the same model: {row.tensor} {why}; {len(wrong)} of {len(self.tensors)} tensors are wrong"
        if self.activations is not None and not self.activations.ok:
            return f"NOT the same model, though its tensors agree: {self.activations.summary()}"
        same = sum(row.same for row in self.tensors)
        rest = "" if self.lossless else ", the others are rounded as their formats round"
        worst = max((row.rel for row in self.activations.rows), default=0.0) if self.activations else 0.0
        count = f"all {same}" if self.lossless else f"{same} of {len(self.tensors)}"
        return (
            f"the same model: {count} tensors are the same to the bit{rest}; largest relative difference of an "
            f"activation {worst:.1e}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return plain(
            {
                "gguf": self.gguf, "folder": self.folder, "ok": self.ok, "lossless": self.lossless,
                "numbers": self.numbers, "tensors": [asdict(row) for row in self.tensors],
                "activations": None if self.activations is None else self.activations.to_dict(), "notes": self.notes,
            }
        )  # fmt: skip

    def table(self) -> str:
        """Every tensor, then every stage."""
        rows: list[tuple[Any, ...]] = [("tensor", "gguf", "folder", "difference", "limit", "verdict")]
        for r in self.tensors:
            rows.append((r.tensor, r.format, r.source, "0" if r.same else f"{r.rel:.2e}", f"{r.limit:g}", r.verdict))
        stages = "" if self.activations is None else f"\n\n{self.activations.table()}"
        return table(rows, right=(3, 4)) + stages

    def __repr__(self) -> str:
        return "\n".join([self.table(), *self.numbers, *self.notes, self.summary()])


def verify(
    gguf: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    tokens: Any = None,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> Verification:
    """Proves that a GGUF file is the model of a Hugging Face folder: the numbers of the model, each tensor, then every
    activation of a prompt, both models run from the tokens in exact numerics.

    tokens    a text or ids; a text is cut by the folder's tokenizer, and a file that cuts it otherwise is noted;
              default "Once upon a time", or the first 16 ids where one of the two has no tokenizer
    progress  called with (tensors done, all)

    Weights of plain formats must be the folder's own; quantised ones may differ by what the format explains. Raises
    what loading raises; ArgumentError where `folder` is none.

    >>> import cutaway as ct, tempfile, os
    >>> folder = os.path.join(tempfile.mkdtemp(), "llama")
    >>> made = ct.to_hf("tiny:llama", folder)
    >>> ct.verify("tiny:llama", folder).lossless
    True
    """
    a, b = _core.open_model(find(gguf)), _core.open_model(os.fspath(folder))
    if not b.folder or a.folder:
        raise ArgumentError(f"verify compares a GGUF file with a folder, got {find(gguf)} and {os.fspath(folder)}",
                            hint="cutaway compare compares any two models")  # fmt: skip
    out = Verification(a.parts[0], b.folder, _numbers(a, b), [], None)
    names = list(dict.fromkeys([t.name for t in b.tensors] + [t.name for t in a.tensors]))
    for i, name in enumerate(names):
        if progress:
            progress(i, len(names))
        out.tensors.append(_tensor(a, b, name))
    if out.numbers or any(row.verdict == "MISSING" for row in out.tensors):
        return out
    x, y = load(find(gguf), numerics="exact"), load(folder, numerics="exact")
    if tokens is None:
        known = "tokenizer.ggml.tokens" in a.keys and folder_tokenizer(b.folder) is not None
        tokens = "Once upon a time" if known else list(range(min(16, y.graph.V)))
        out.notes += [] if known else ["one of the two has no tokenizer, so the ids 0, 1, .. were run"]
    ids = y._token_arrays(tokens)[0][0]
    if isinstance(tokens, str | bytes) and not np.array_equal(ids, x.tokenizer.encode(tokens).ids):
        out.notes.append("the file's tokenizer cuts the prompt otherwise than the folder's")
    # Where weights are rounded, activations drift as far as the model lets them: numbers to read, but for NaN.
    limit = ACCUMULATED["exact"] if all(row.rel <= ROUNDING for row in out.tensors) else math.inf
    out.activations = compare(x, y, ids, mode="accumulate", limit=limit)
    return out


def _numbers(a: Any, b: Any) -> list[str]:
    """What the two graphs have otherwise: heads, widths, rope, windows, epsilon, one line each."""
    ours, theirs = _core.read_graph(a), _core.read_graph(b)
    x, y = _core.read_config(a), _core.read_config(b)
    out = [f"{k} is {x[k]} in the file and {y[k]} in the folder" for k in x if k != "name" and x[k] != y[k]]
    if out:
        return out
    by_name = {s["name"]: s for s in theirs["stages"]}
    told: set[tuple[str, str]] = set()
    for stage in ours["stages"]:
        other = by_name.pop(stage["name"], None)
        if other is None:
            out.append(f"{stage['name']} is in the file's graph only")
            continue
        for key in ("op", "reads", "attributes", "shape", "weights"):
            kind = (stage["op"], key)
            if stage[key] != other[key] and kind not in told:
                told.add(kind)  # once, not for every layer
                out.append(f"{stage['name']} has {key} {stage[key]} in the file and {other[key]} in the folder")
    out += [f"{name} is in the folder's graph only" for name in by_name]
    for name, values in ours["constants"].items():
        if name not in theirs["constants"] or not np.allclose(values, theirs["constants"][name], rtol=1e-6, atol=0):
            out.append(f"{name} differs: {values[:4]} .. in the file, {theirs['constants'].get(name, [])[:4]} ..")
    return out


def _tensor(a: Any, b: Any, name: str) -> TensorRow:
    sides = [{t.name: t for t in f.tensors}.get(name) for f in (a, b)]
    if sides[0] is None or sides[1] is None or sides[0].shape != sides[1].shape:
        kinds = [("-" if t is None else t.format) for t in sides]
        return TensorRow(name, kinds[0], kinds[1], False, float("nan"), 0.0, "MISSING")
    error = size = 0.0
    same = True
    for x, y in _parts(a, b, sides[0], sides[1]):
        same = same and bool(np.array_equal(x.view(np.uint32), y.view(np.uint32)))
        error += float(np.square(x - y, dtype=np.float64).sum())
        size += float(np.square(y, dtype=np.float64).sum())
    rel = float(np.sqrt(error / size)) if size else float(error > 0)
    limit = EXPLAINED[sides[0].format]
    if name.startswith("rope_"):
        limit = ROUNDING
    verdict = "same" if same else "rounded" if rel <= limit else "WRONG"
    return TensorRow(name, sides[0].format, sides[1].format, same, rel, limit, verdict)


def _parts(a: Any, b: Any, x: Any, y: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The values of a tensor in both, some rows at a time."""
    n = x.shape[-1] if x.shape else 1
    rows = int(np.prod(x.shape[:-1]))
    step = max(1, (1 << 22) // max(n, 1))
    for first in range(0, rows, step):
        count = min(step, rows - first)
        out = []
        for file, t in ((a, x), (b, y)):
            row = formats()[t.format].block_bytes * (n // formats()[t.format].block)
            out.append(unpack(t.format, file.raw(t.name, first * row, count * row).reshape(count, row)))
        yield out[0], out[1]
