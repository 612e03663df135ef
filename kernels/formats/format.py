"""The NumPy formats by name or GGUF id. Folder names are the list: <name>/<name>.py.

Every module has NAME, BLOCK (elements), BLOCK_BYTES, GGUF_ID and, for rows that are whole blocks,
    unpack(raw)   uint8 [rows, row_bytes] -> float32 [rows, n], from the format's specification, not from the C++
    pack(x)       float32 [rows, n] -> uint8 [rows, row_bytes]
    search(x)     the same with searched scales, where the format has blocks (search.py)
    spread(raw)   float32 [rows, n], the sum of the absolute terms an element is made of: |scale * code| + |minimum|
                  where the format has minimums, else |value|. The magnitude for errors where code and minimum cancel.
"""

from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
from cutaway.errors import ArgumentError, ShapeError


@cache
def names():
    """Every format, in the order of the GGUF ids."""
    found = [path.stem for path in Path(__file__).parent.glob("*/*.py") if path.stem == path.parent.name]
    return tuple(sorted(found, key=lambda name: load(name).GGUF_ID))


@cache
def load(name):
    return import_module(f"cutaway.kernels.formats.{name}.{name}")


def module(name):
    """The module of a format, by its name ("q4_k") or its GGUF id (12)."""
    for known in names():
        if name in (known, load(known).GGUF_ID):
            return load(known)
    raise ArgumentError(f"format: got {name!r}, expected one of " + ", ".join(names()))


def unpack(name, raw, n):
    """Stored rows, uint8 [rows, row_bytes], to float32 [rows, n]."""
    f = module(name)
    if raw.dtype != np.uint8:
        raise ArgumentError(
            f"unpack({f.NAME}): raw is {raw.dtype}, expected uint8", hint="pass the stored bytes: array.view(np.uint8)"
        )
    if raw.ndim != 2:
        raise ShapeError(f"unpack({f.NAME}): raw has {raw.ndim} axes, expected 2: [rows, row_bytes]")
    check_blocks(f, "unpack", "n", n)
    if raw.shape[1] != n // f.BLOCK * f.BLOCK_BYTES:
        raise ShapeError(
            f"unpack({f.NAME}): rows of raw have {raw.shape[1]} bytes, expected {n // f.BLOCK} blocks of "
            f"{f.BLOCK_BYTES} for n = {n}"
        )
    return f.unpack(raw)


def pack(name, x, search=False):
    """float [rows, n] to stored rows, uint8 [rows, row_bytes]. Blocks hold finite numbers only."""
    f = module(name)
    if x.dtype.kind != "f":
        raise ArgumentError(f"pack({f.NAME}): x is {x.dtype}, expected floats", hint="convert: x.astype(np.float32)")
    if x.ndim != 2:
        raise ShapeError(f"pack({f.NAME}): x has {x.ndim} axes, expected 2: [rows, n]")
    check_blocks(f, "pack", "the last axis of x", x.shape[1])
    if f.BLOCK > 1 and not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise ArgumentError(
            f"pack({f.NAME}): x[{row}, {column}] is {x[row, column]}, expected finite numbers: one other value would "
            f"spoil the {f.BLOCK} elements of its block"
        )
    return (f.search if search and f.BLOCK > 1 else f.pack)(x.astype(np.float32))


def step(name, raw):
    """float32 [rows, n], how much one step of each element's code is, or less: where scales are float16, too large for
    trouble unless activations are below 2^-95, a bound from below will do, and no code is beyond 128."""
    f = module(name)
    with np.errstate(invalid="ignore"):  # NaN, as a scale may be
        return f.step(raw) if hasattr(f, "step") else f.spread(raw) / np.float32(128)


def check_blocks(f, who, what, n):
    if n < 0 or n % f.BLOCK:
        raise ShapeError(f"{who}({f.NAME}): {what} is {n}, expected a multiple of {f.BLOCK}, the elements of a block")
