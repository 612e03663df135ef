"""How elements are stored: the table of formats, and rows of bytes to numbers and back.

>>> import cutaway as ct, numpy as np
>>> raw = ct.pack("q8_0", np.linspace(-1, 1, 32, dtype=np.float32))
>>> raw.shape, float(np.abs(ct.unpack("q8_0", raw) - np.linspace(-1, 1, 32)).max()) < 0.004
((34,), True)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cutaway import _core
from cutaway.errors import ShapeError
from cutaway.kernels.formats import format as reference


@dataclass(frozen=True)
class Format:
    """One format: `block` elements take `block_bytes`; `bits` is what one element costs, scales included."""

    name: str
    gguf_id: int  # ggml's type id
    block: int
    block_bytes: int
    payload: str  # f32, f16, bf16 for plain floats; codes for blocks
    code_bits: int  # of a code; 0 for plain floats
    group: int  # elements that share a scale; 0 for plain floats
    offset: int  # subtracted from a code to get the signed integer
    table: tuple[int, ...] | None  # the integers that codes are looked up in, instead of an offset
    minimums: bool  # whether groups have a minimum that is added to scale * integer
    cell: int  # in memory, columns of a strip of sixteen rows that lie together (kernels/formats/packed.h)
    cell_bytes: int  # and how many bytes they take

    @property
    def bits(self) -> float:
        return 8 * self.block_bytes / self.block


class Formats(dict[str, Format]):
    """Every format by name; prints as a table."""

    def __repr__(self) -> str:
        lines = ["format   gguf  elements  bytes   bits  stored as"]
        for f in self.values():
            lines.append(f"{f.name:8} {f.gguf_id:4} {f.block:9} {f.block_bytes:6} {f.bits:6.4g}  {_stored_as(f)}")
        return "\n".join(lines)


def _stored_as(f: Format) -> str:
    if not f.group:
        return "plain floats"
    value = "table[code]" if f.table else f"(code - {f.offset})" if f.offset else "code"
    return f"scale * {value}" + (" + minimum" if f.minimums else "") + f", a scale for every {f.group}"


def formats() -> Formats:
    """The formats that weights are read in, by name, in the order of their GGUF ids."""
    rows = [Format(**{**row, "table": row["table"] and tuple(row["table"])}) for row in _core.formats()]
    return Formats({f.name: f for f in sorted(rows, key=lambda f: f.gguf_id)})


def unpack(name: str, raw: np.ndarray) -> np.ndarray:
    """Stored bytes as float32, bit for bit what the format's definition gives.

    name  a format, "q4_k"
    raw   uint8 [..., row_bytes], whole blocks

    Raises ArgumentError for a format we do not have or bytes that are not uint8, ShapeError for rows that are not
    whole blocks.
    """
    f = reference.module(name)
    raw = np.asarray(raw)
    if raw.ndim == 0 or raw.shape[-1] % f.BLOCK_BYTES:
        raise ShapeError(
            f"unpack({f.NAME}): raw is {list(raw.shape)}, expected rows of whole blocks, {f.BLOCK_BYTES} bytes"
        )
    n = raw.shape[-1] // f.BLOCK_BYTES * f.BLOCK
    rows = raw.reshape(int(np.prod(raw.shape[:-1])), raw.shape[-1])
    return _core.unpack(f.NAME, rows, n).reshape(*raw.shape[:-1], n)


def pack(name: str, x: np.ndarray, search: bool = False) -> np.ndarray:
    """Floats as stored bytes, uint8 [..., row_bytes], quantised simply where the format is quantised.

    name    a format, "q8_0"
    x       floats [..., n], n whole blocks, finite where the format has blocks
    search  scales by least squares: a smaller error, and some hundred times the work

    Simply means the bytes of gguf's quantiser for the formats it can write; for q2_k to q6_k and iq4 a simpler choice
    of scales than ggml's.
    Raises ArgumentError for a format we do not have, integers or values that are not finite, ShapeError for rows that
    are not whole blocks.
    """
    f = reference.module(name)
    x = np.asarray(x)
    if x.ndim == 0:
        raise ShapeError(f"pack({f.NAME}): x is a single number, expected [..., n]")
    rows = x.reshape(int(np.prod(x.shape[:-1])), x.shape[-1])
    return reference.pack(f.NAME, rows, search).reshape(*x.shape[:-1], x.shape[-1] // f.BLOCK * f.BLOCK_BYTES)
