"""Sizes in bytes: of what watching costs, and as people write them."""

from __future__ import annotations

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


def bytes_of(stage: Any, lengths: list[int]) -> int:
    """Bytes that a stage's tensor takes as float32 for sequences of these lengths, padded to the longest."""
    most, elements = max(lengths), 4 * len(lengths)
    for axis in stage.shape:
        elements *= most if axis < 0 else axis
    return elements
