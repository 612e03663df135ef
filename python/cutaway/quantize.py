"""ct.quantize: a model's weights in another format, as a GGUF file, and what each tensor lost by it.

The formats are those of ct.formats(); a mix gives tensors formats by their place. Scales are searched
(kernels/formats/search.py). Norms, biases, sinks and routers stay float32; a matrix whose rows are no multiple of a
format's block takes the next format whose blocks fit, as llama.cpp's quantiser does, and the report says so."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cutaway import _core
from cutaway.errors import ArgumentError, NonFiniteError, SaveError
from cutaway.formats import formats, pack, unpack
from cutaway.gguf import write_gguf
from cutaway.loading import find
from cutaway.model import Model
from cutaway.output import plain, refuse_path, table
from cutaway.text import Tokenizer, folder_tokenizer

PLAIN = ("f32", "f16", "bf16")
# What takes the place of a format whose blocks do not fit a row; at last the tensor keeps its own.
NEXT = {"q2_k": "iq4_nl", "q3_k": "iq4_nl", "q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0", "iq4_xs": "iq4_nl"}
# general.file_type, llama.cpp's llama_ftype.
FILE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9, "q2_k": 10, "q3_k": 11}
FILE_TYPES |= {"q4_k": 14, "q4_k_m": 15, "q5_k": 16, "q5_k_m": 17, "q6_k": 18, "iq4_nl": 25, "iq4_xs": 30}
FILE_TYPES |= {"bf16": 32, "mxfp4": 38}
MIXES = {"q4_k_m": ("q4_k", "q6_k"), "q5_k_m": ("q5_k", "q6_k")}  # most tensors, and those that matter more
CHUNK = 1 << 16  # elements that one thread packs at a time: what its cache holds


@dataclass
class Row:
    """One tensor of a quantised file."""

    tensor: str
    shape: list[int]
    source: str  # format it came from
    format: str  # and that it has now
    bits: float  # per weight
    rel: float  # root mean square of the error over that of the weights
    worst: float  # the same of its worst block: error over the tensor's own root mean square
    worst_block: int  # its number, in the order of the file
    note: str = ""  # why it is not in the format asked for


@dataclass
class Quantised:
    """What ct.quantize did, tensor by tensor. Prints as a table."""

    path: str
    source: str
    format: str
    rows: list[Row]
    bytes: int  # of the tensors, in the new file
    elements: int
    notes: list[str] = field(default_factory=list)  # what else is not as it was

    @property
    def bits(self) -> float:
        """Per weight, over all tensors."""
        return 8 * self.bytes / max(self.elements, 1)

    def __getitem__(self, tensor: str) -> Row:
        """The row of a tensor. Raises ArgumentError where there is none."""
        for row in self.rows:
            if row.tensor == tensor:
                return row
        raise ArgumentError(f"the report has no tensor {tensor!r}", hint="print it to see which it has")

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return plain({**asdict(self), "bits": self.bits})

    def summary(self) -> str:
        """One line: what became of the model; and one for what could not be as asked."""
        worst = max(self.rows, key=lambda r: r.rel, default=None)
        kept = sum(bool(r.note) for r in self.rows)
        text = f"{self.path}: {len(self.rows)} tensors, {self.bytes / 1e6:.1f} MB, {self.bits:.2f} bits per weight"
        if worst and worst.rel:
            text += f"; largest error {worst.rel:.2e} in {worst.tensor} ({worst.format})"
        notes = [f"{kept} of them not in the format asked for: see their notes"] if kept else []
        return "\n".join([text, *notes, *self.notes])

    def table(self) -> str:
        """Every tensor."""
        rows: list[tuple[Any, ...]] = [
            ("tensor", "shape", "from", "to", "bits", "error", "worst block", "of it", "note")
        ]
        for r in self.rows:
            error = (f"{r.rel:.2e}", f"{r.worst:.2e}", r.worst_block) if r.rel else ("0", "0", "")
            rows.append((r.tensor, " x ".join(map(str, r.shape)), r.source, r.format, f"{r.bits:g}", *error, r.note))
        rows[0] = ("tensor", "shape", "from", "to", "bits", "error", "worst", "in block", "note")
        return table(rows, right=(4, 5, 6, 7))

    def __repr__(self) -> str:
        return f"{self.table()}\n{self.summary()}"


def quantize(
    model: Model | str | os.PathLike[str],
    out: str | os.PathLike[str],
    format: str,
    *,
    progress: Callable[[int, int], object] | None = None,
    threads: int = 0,
) -> Quantised:
    """Writes a model as a GGUF file with its weights in another format; returns the error of each tensor.

    model     a Model, a GGUF file or a Hugging Face folder, whose tokenizer goes along; names as ct.load takes them
    out       the file; whole under its name, or what was there stays
    format    one of ct.formats() for every matrix, embeddings and experts too; "q4_k_m" or "q5_k_m", llama.cpp's mixes;
              "keep": every tensor as it is, which makes a GGUF file of a folder
    progress  called with (tensors done, all)
    threads   0: every core this process may use

    Memory holds a part of one tensor at a time; the folder of `out` needs room for the file twice.
    Raises ArgumentError for other formats and values that a format cannot hold, NonFiniteError for weights that are
    none, what loading a model raises, SaveError.

    >>> import cutaway as ct, tempfile, os
    >>> out = os.path.join(tempfile.mkdtemp(), "llama-q8_0.gguf")
    >>> report = ct.quantize("tiny:llama", out, "q8_0")
    >>> report["blk.0.attn_q.weight"].format, report["blk.0.attn_q.weight"].rel < 0.01
    ('q8_0', True)
    >>> ct.load(out).run([5, 6, 7]).shape
    (1, 3, 1024)
    """
    known = [*formats(), *MIXES, "keep"]
    if format not in known:
        raise ArgumentError(f"format is {format!r}, expected one of {', '.join(known)}")
    file = model.file if isinstance(model, Model) else _core.open_model(find(model))
    refuse_path(out)
    metadata, lost = _metadata(file, format)
    places = Places(file, format)
    rows, tensors, pool = [], [], ThreadPoolExecutor(threads or _core.cores())
    path = Path(out)
    try:
        with pool, tempfile.TemporaryFile(dir=path.parent) as spool:
            for i, t in enumerate(file.tensors):
                if progress:
                    progress(i, len(file.tensors))
                to, note = places.format_of(t)
                at = spool.tell()
                rows.append(_convert(file, t, to, note, spool, pool))
                tensors.append((t.name, to, list(t.shape), at, spool.tell() - at))
            spool.flush()
            whole = np.memmap(spool, np.uint8, "r") if spool.tell() else np.zeros(0, np.uint8)
            write_gguf(out, metadata, {name: (to, shape, whole[at : at + n]) for name, to, shape, at, n in tensors})
    except OSError as error:
        if isinstance(error, SaveError) or not error.errno:
            raise
        raise SaveError(f"{path} could not be written: {error.strerror}", path=str(path), errno=error.errno) from error
    elements = sum(int(np.prod(r.shape)) for r in rows)
    source = file.folder or file.parts[0]
    return Quantised(os.fspath(path), source, format, rows, sum(n for *_, n in tensors), elements, lost)


class Places:
    """Which format each tensor of a file takes."""

    def __init__(self, file: Any, format: str) -> None:
        self.format = format
        arch = file.value("general.architecture")
        self.layers = int(file.value(f"{arch}.block_count"))
        self.has_head = any(t.name == "output.weight" for t in file.tensors)
        self.blocks = {f.name: f.block for f in formats().values()}

    def format_of(self, t: Any) -> tuple[str, str]:
        """The format of a tensor, and why it is not the one asked for."""
        if self.format == "keep":
            return t.format, ""
        if not is_matrix(t):
            return "f32", ""
        wanted = chosen = self.wanted(t.name)
        while t.shape[-1] % self.blocks[chosen]:
            chosen = NEXT.get(chosen, t.format if t.format in PLAIN else "f16")
        note = f"rows of {t.shape[-1]} are no multiple of {self.blocks[wanted]}, as {wanted} needs"
        return chosen, note if chosen != wanted else ""

    def wanted(self, name: str) -> str:
        """By the rules of llama.cpp's quantiser (llama-quant.cpp) for a mix."""
        if self.format not in MIXES:
            return self.format
        most, more = MIXES[self.format]
        if name == "position_embd.weight":
            return "f32"
        if name == ("output.weight" if self.has_head else "token_embd.weight"):
            return more
        if name.endswith("attn_qkv.weight") and self.format == "q4_k_m":
            return "q5_k"
        layer = re.match(r"blk\.(\d+)\.(attn_v|ffn_down|ffn_down_exps)\.weight$", name)
        return more if layer and uses_more_bits(int(layer[1]), self.layers) else most


def uses_more_bits(layer: int, layers: int) -> bool:
    """The first and the last eighth of the layers, and of the others every third."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def is_matrix(t: Any) -> bool:
    """Whether a tensor is one that is quantised: no norm, bias, sink or router, nor a table of rope factors."""
    name = t.name
    return (
        len(t.shape) > 1
        and name.endswith(".weight")
        and not name.endswith("_norm.weight")
        and not name.endswith("ffn_gate_inp.weight")
    )


def _convert(file: Any, t: Any, to: str, note: str, spool: Any, pool: ThreadPoolExecutor) -> Row:
    """Writes one tensor as `to`, a part at a time."""
    n, here = t.shape[-1], formats()[to]
    rows = int(np.prod(t.shape[:-1]))
    row_bytes = t.bytes // max(rows, 1)
    step = max(1, CHUNK // max(n, 1))
    error = size = worst = 0.0
    worst_block = 0
    blocks = n // here.block if here.block > 1 else 1

    def part(first: int) -> tuple[np.ndarray, float, float, float, int]:
        count = min(step, rows - first)
        raw = file.raw(t.name, first * row_bytes, count * row_bytes).reshape(count, row_bytes)
        if to == t.format:
            return raw, 0.0, 0.0, 0.0, 0
        x = unpack(t.format, raw)
        stored = _packed(t.name, to, x, first)
        off = (unpack(to, stored) - x).astype(np.float64)
        by_block = np.square(off).reshape(count * blocks, -1).mean(-1)
        at = int(by_block.argmax())
        return stored, float((off**2).sum()), float(np.square(x, dtype=np.float64).sum()), float(by_block[at]), at

    starts = range(0, rows, step)
    for first, (stored, e, s, w, at) in zip(starts, _ahead(pool, part, starts), strict=True):
        spool.write(stored)
        error, size = error + e, size + s
        if w > worst:
            worst, worst_block = w, first * blocks + at
    mean = size / max(rows * n, 1)
    rel, most = (float(np.sqrt(error / size)), float(np.sqrt(worst / mean))) if size else (0.0, 0.0)
    return Row(t.name, list(t.shape), t.format, to, here.bits, rel, most, worst_block, note)


def _ahead(pool: ThreadPoolExecutor, part: Callable[[int], Any], starts: range) -> Iterator[Any]:
    """The parts in order, a few of them in work at a time."""
    waiting = []
    for start in starts:
        waiting.append(pool.submit(part, start))
        if len(waiting) > 8:
            yield waiting.pop(0).result()
    for one in waiting:
        yield one.result()


def _packed(name: str, to: str, x: np.ndarray, first: int) -> np.ndarray:
    if to not in PLAIN and not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise NonFiniteError(
            f"{name}[{first + row}, {column}] is {x[row, column]}, which no block of {to} can hold",
            hint="the source is damaged: look at it with cutaway inspect, or convert to f32",
            tensor=name,
        )
    stored = pack(to, x, search=True)
    if not np.isfinite(unpack(to, stored)[np.isfinite(x)]).all():
        raise ArgumentError(
            f"{name} has a value of {np.abs(x[np.isfinite(x)]).max():g}, which is infinite in {to}",
            hint="convert it to bf16 or f32",
            tensor=name,
        )
    return stored


def _metadata(file: Any, format: str) -> tuple[dict[str, Any], list[str]]:
    """The source's metadata, but for what says how the file is cut and stored; and what of the tokenizer is lost."""
    kinds = file.types
    out: dict[str, Any] = {k: (kinds[k], v) for k, v in file.metadata.items() if not k.startswith("split.")}
    if format != "keep":
        out |= {"general.file_type": FILE_TYPES[format], "general.quantization_version": 2}
    if not file.folder:
        return out, []
    if not folder_tokenizer(file.folder):
        return out, ["the folder has no tokenizer.json, so the file has no tokenizer and takes token ids only"]
    tokenizer, lost = Tokenizer(file).gguf_metadata()
    return out | tokenizer, lost
