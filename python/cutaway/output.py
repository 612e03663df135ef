"""How values leave the package: text that cannot move a cursor, tables, JSON, and files that are whole or not there."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from cutaway.errors import SaveError

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
    """Calls write(file), beside the path, then renames: the file is whole or what it was. Raises SaveError.

    What is there and no file, like /dev/stdout, is written in place."""
    refuse_path(path)
    special = os.path.exists(path) and not os.path.isfile(path)
    target = Path(path) if special else Path(os.path.realpath(path))  # beside the file, not beside a link to it
    part = target if special else target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as f:
            write(f)
        if not special:
            os.replace(part, target)
    except OSError as error:
        text = f"{os.fspath(path)} could not be written: {error.strerror}"
        raise SaveError(text, path=os.fspath(path), errno=error.errno) from error
    finally:
        if not special:
            part.unlink(missing_ok=True)
