"""This machine's measured peaks, of which speeds are a share."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cutaway import _core


@dataclass(frozen=True)
class Peak:
    """The fastest that simple loops were: 1e9 bytes read a second; operations a second on 8-bit codes and on floats."""

    gbs: float
    int8: float  # a product and its sum are two operations
    float32: float
    threads: int
    target: str  # whose instructions the loops use
    buffer_bytes: int

    def seconds(self, nbytes: float, operations: float, codes: bool) -> float:
        """The least that so much reading and computing takes here, whichever is slower; codes: 8-bit products."""
        return max(nbytes / self.gbs / 1e9, operations / (self.int8 if codes else self.float32))

    def to_dict(self) -> dict[str, Any]:
        """Its fields as plain values."""
        return asdict(self)


def last_level_cache() -> int:
    """Bytes of the largest cache that the system tells of; 32 MiB where it tells of none."""
    found = []
    for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cache/index*/size"):
        try:
            text = path.read_text().strip()
            found.append(int(text.rstrip("KMG")) * {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1], 1))
        except (OSError, ValueError):
            continue
    return max(found, default=32 << 20)


def measure_peak(threads: int = 0, target: str = "", runs: int = 5) -> Peak:
    """The best of runs with `threads` threads together, by the loops of kernels/peaks_cpu.cpp; takes a second or two.

    Memory is read in eight last-level caches (256 MiB to 2 GiB), so that hardly any of it comes from a cache."""
    nbytes = min(max(8 * last_level_cache(), 256 << 20), 2 << 30)
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    nbytes = max(64 << 20, min(nbytes, available // 2))
    whole = np.ones(nbytes // 4 + 16, np.float32)
    first = -whole.ctypes.data % 64 // 4  # a line of the cache
    found = _core.measure_peaks(target, threads, whole[first : first + nbytes // 4], runs)
    return Peak(**found, target=target or _core.default_target(), buffer_bytes=nbytes)
