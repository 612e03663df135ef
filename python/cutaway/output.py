"""How values leave the package: text that cannot move a cursor, tables, JSON, and files that are whole or not there."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import itertools
import json
import math
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from cutaway.errors import ArgumentError, SaveError

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def escape(text: str) -> str:
    """Text from a file as it may be printed: nothing in it can move the cursor, reorder a line or break it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)


def for_terminal(text: str, stream: TextIO) -> str:
    """Text that a model wrote, as a stream may get it: on a terminal, control characters are escaped, but for line feed
    and tab, so that no model can move the cursor, set the title or hide a line; files and pipes get it as it is."""
    return _CONTROLS.sub(lambda found: escape(found[0]), text) if stream.isatty() else text


def table(rows: Sequence[Sequence[Any]], right: Collection[int] = ()) -> str:
    """Rows of cells in columns, the first being the header; columns whose index is in `right` are set to the right."""
    cells = [[str(c) for c in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    pad = lambda c, i: c.rjust(widths[i]) if i in right else c.ljust(widths[i])
    return "\n".join("  ".join(pad(c, i) for i, c in enumerate(row)).rstrip() for row in cells)


def counted(n: int, what: str) -> str:
    """ "1 token", "2 tokens"."""
    return f"{n} {what}" + ("" if n == 1 else "s")


def plain(value: Any) -> Any:
    """A value as JSON has it: what is not finite becomes "nan", "inf" or "-inf", an unknown type its str()."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (bool, int, str, type(None))):
        return value
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, np.integer):
        return int(value)
    return str(value)


def refuse_path(path: str | os.PathLike[str]) -> None:
    """Raises SaveError where no file can stand, before the work whose result would be lost."""
    path = Path(path)
    if path.is_dir():
        raise SaveError(f"{path} could not be written: it is a directory", hint="name a file in it", path=str(path))
    if not path.parent.is_dir():
        raise SaveError(f"{path} could not be written: there is no directory {path.parent}",
                        hint=f"mkdir -p {path.parent}", path=str(path))  # fmt: skip


def write_whole(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Calls write(file), beside the path, then renames: whatever ends the process, the file is whole or what it was.

    What is there and no file, like /dev/stdout, is written in place. Raises SaveError. csrc/load/gguf_writer.cpp does
    the same for models."""
    refuse_path(path)
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as f:
                write(f)
        else:
            _replace(Path(os.path.realpath(path)), write)  # beside the file, not beside a link to it
    except OSError as error:
        text = f"{os.fspath(path)} could not be written: {error.strerror}"
        raise SaveError(text, path=os.fspath(path), errno=error.errno) from error


_counter = itertools.count()


def _replace(target: Path, write: Callable[[BinaryIO], object]) -> None:
    stem = f".{target.name[:60]}.tmp-"
    _remove_stale(target.parent, stem)
    part = target.with_name(f"{stem}{os.getpid()}-{next(_counter)}")
    try:
        with open(part, "xb") as f:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if target.exists():
                os.fchmod(f.fileno(), target.stat().st_mode & 0o7777)
            write(f)
            f.flush()
            os.fsync(f.fileno())
            os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # whole under its name by now; not every file system syncs folders
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _remove_stale(folder: Path, stem: str) -> None:
    """Removes what a process that was killed left: temporaries a minute old that nobody holds."""
    for left in folder.glob(glob.escape(stem) + "*"):
        with contextlib.suppress(OSError), open(left, "rb") as f:
            if time.time() - os.fstat(f.fileno()).st_mtime > 60:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], notes: Mapping[str, str]) -> None:
    """Arrays by name as .npz or .safetensors, as the path ends; the latter takes the notes too. Raises SaveError."""
    text = os.fsdecode(path)
    if not text.endswith((".npz", ".safetensors")):
        raise ArgumentError(f"{text!r} ends in neither .safetensors nor .npz, the formats that arrays are saved in")
    named: dict[str, Any] = dict(arrays)
    if text.endswith(".npz"):
        write_whole(path, lambda f: np.savez(f, **named))
    else:
        write_whole(path, lambda f: _write_safetensors(f, arrays, notes))


def _write_safetensors(f: BinaryIO, arrays: Mapping[str, np.ndarray], notes: Mapping[str, str]) -> None:
    kinds = {"float32": "F32", "float16": "F16", "int8": "I8"}
    entries = [(name, kinds[a.dtype.name], list(a.shape)) for name, a in arrays.items()]
    stream_safetensors(f, entries, (np.ascontiguousarray(a) for a in arrays.values()), notes)


WIDTHS = {"F32": 4, "F16": 2, "BF16": 2, "I8": 1}


def stream_safetensors(
    f: BinaryIO,
    entries: Sequence[tuple[str, str, list[int]]],
    arrays: Iterable[np.ndarray],
    notes: Mapping[str, str],
) -> None:
    """The header's length as u64, the header as JSON padded with spaces, the arrays' bytes in order.

    entries: name, type and shape of each array, so that they can be made one after the other."""
    header: dict[str, Any] = {"__metadata__": dict(notes)}
    at = 0
    for name, kind, shape in entries:
        end = at + math.prod(shape) * WIDTHS[kind]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    f.write(len(text).to_bytes(8, "little") + text)
    for a in arrays:
        f.write(a.data)
