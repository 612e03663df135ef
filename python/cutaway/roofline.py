"""This machine's measured memory peak, of which speeds are a share."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cutaway import _core


@dataclass(frozen=True)
class Peak:
    """The fastest that memory was read: gbs is 1e9 bytes a second."""

    gbs: float
    threads: int
    buffer_bytes: int
    method: str

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


def read_bandwidth(threads: int = 0, runs: int = 5) -> Peak:
    """How fast `threads` threads together read eight last-level caches (256 MiB to 2 GiB): the best of runs.

    Each thread sums int64 in its own part with np.sum, which releases Python's lock and is limited by memory, not by
    the additions. A kernel may reach a little more: this is one simple reader, not the hardware's own figure."""
    threads = threads or _core.cores()
    nbytes = min(max(8 * last_level_cache(), 256 << 20), 2 << 30)
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    nbytes = max(64 << 20, min(nbytes, available // 2))
    parts = np.array_split(np.ones(nbytes // 8, np.int64), threads)
    best = float("inf")
    for _ in range(runs + 1):  # the first wakes the pages and the clocks
        gate = threading.Barrier(threads + 1)

        def read(part: np.ndarray, gate: threading.Barrier = gate) -> None:
            gate.wait()
            part.sum()

        workers = [threading.Thread(target=read, args=(part,)) for part in parts]
        for worker in workers:
            worker.start()
        gate.wait()
        started = time.perf_counter()
        for worker in workers:
            worker.join()
        best = min(best, time.perf_counter() - started)
    return Peak(nbytes / best / 1e9, threads, nbytes, "np.sum of int64, one part per thread")
