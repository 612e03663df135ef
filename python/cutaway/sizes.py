"""Sizes in bytes: of what watching costs, as people write them, and as they read them."""

from __future__ import annotations

import math
import re
from typing import Any

from cutaway.errors import ArgumentError

_UNITS = {
    "": 1,
    "B": 1,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}


def parse_bytes(size: int | str) -> int:
    """512, "512MiB", "4 GB" -> bytes."""
    if isinstance(size, int) and not isinstance(size, bool) and size >= 0:
        return size
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", size) if isinstance(size, str) else None
    if not match or match[2].upper() not in _UNITS:
        raise ArgumentError(f"a size is a number of bytes or text like '512MiB', got {size!r}")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def size(n: float) -> str:
    """Bytes for people.

    >>> size(1000), size(1536), size(11.3 * 2**30)
    ('1000 B', '1.5 KiB', '11.3 GiB')
    """
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if n >= scale:
            return f"{n / scale:.1f} {unit}"
    return f"{n:.0f} B"


def sizes_apart(a: int, b: int) -> tuple[str, str]:
    """Two sizes for people, to the byte where rounding would make them look alike.

    >>> sizes_apart(2 << 20, 1000), sizes_apart((2 << 20) + 1, 2 << 20)
    (('2.0 MiB', '1000 B'), ('2097153 B', '2097152 B'))
    """
    return (size(a), size(b)) if size(a) != size(b) else (f"{a} B", f"{b} B")


def bytes_of(graph: Any, name: str, lengths: list[int], rows: int | None = None) -> int:
    """Bytes that a stage's tensor takes as float32, or a kernel tap in its own types, for sequences of these lengths.

    All are as long as the longest; `rows`: only so many of each sequence's rows are kept."""
    base, _, tap = name.partition("@")
    most = max(lengths)
    elements = len(lengths) * (most if rows is None else rows)
    elements *= math.prod(most if axis == -2 else axis for axis in graph[base].shape if axis != -1)
    return {"": 4 * elements, "act_q8": elements, "act_scale": elements // 32 * 4}[tap]
