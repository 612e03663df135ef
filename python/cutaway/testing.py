"""What tests of kernels need: agreement counted in units of rounding, and one check that asks a kernel everything.

Also a pytest plugin: `--cutaway-target avx2` forces a CPU target. Importing it needs no pytest.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

EPS = 2.0**-24  # one rounding of a float32, relative
SMALLEST = 2.0**-149  # its smallest step: nothing can be more exact than this
SIZES = (1, 15, 16, 17, 31, 32, 33, 127, 211, 576, 1536)  # around the vector widths, two primes, a real model's


@dataclass
class Case:
    """One call of an op; `name` appears when it fails."""

    name: str
    reads: tuple[Any, ...]
    weights: tuple[Any, ...] = ()
    attributes: dict[str, float] = field(default_factory=dict)


def units_off(actual: np.ndarray, expected: np.ndarray, magnitude: Any) -> np.ndarray:
    """Each element's error in units of rounding; infinite where one side is not finite and the other not the same."""
    actual = np.asarray(actual, np.float64)
    with np.errstate(all="ignore"):
        expected = np.broadcast_to(np.asarray(expected, np.float64), actual.shape)
        rounded = expected.astype(np.float32).astype(np.float64)  # beyond float32's range the right answer is infinity
        same = (rounded == actual) | (np.isnan(rounded) & np.isnan(actual))
        unit = np.maximum(EPS * np.abs(np.broadcast_to(magnitude, actual.shape)), SMALLEST)
        off = np.abs(actual - expected) / unit
        comparable = np.isfinite(actual) & np.isfinite(rounded) & np.isfinite(unit)
    return np.where(comparable, off, np.where(same, 0.0, np.inf))


def assert_agrees(actual: Any, expected: Any, magnitude: Any, units: float, case: str = "") -> float:
    """Raises AssertionError unless every element is within `units` roundings; returns the worst element's units.

    actual: what a kernel gave. expected: its reference, float64. magnitude: what one rounding of each element is
    measured against. case: what to call this comparison in the message.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{case}: shape {actual.shape}, expected {expected.shape}"
    if actual.size == 0:
        return 0.0
    off = units_off(actual, expected, magnitude)
    worst = np.unravel_index(int(np.argmax(off)), off.shape)
    assert off[worst] <= units, (
        f"{case or 'case'}: {off[worst]:.4g} units at {tuple(map(int, worst))}, tolerance {units}: "
        f"got {actual[worst]!r}, expected {expected[worst]!r}; {int((off > units).sum())} of {off.size} are off"
    )
    return float(off[worst])


def check_kernel(op: str, cases: Iterable[Case], targets: Iterable[str] | None = None) -> float:
    """Asks every kernel of an op everything, over all cases; returns the worst error seen, in units.

    Each output agrees with the reference within the op's UNITS; all targets and both 1 and 2 threads give the same
    bits; every element is written, from one half of the units only, and nothing beside them; inputs need no alignment
    and what lies around them (NaN) is not used, nor what earlier calls left in scratch; and no input is changed.
    Reading behind an input is a segmentation fault: once, each of them ends where memory does.
    targets: those to run; default: the CPU target that CUTAWAY_TARGET forces, or all of the CPU that run here.
    """
    from cutaway import _core, ops

    definition = ops.definition(op)
    kernels = [name.split("/")[1] for name in ops.kernels(op, "cpu")]
    forced = os.environ.get("CUTAWAY_TARGET")
    chosen = list(targets) if targets is not None else [forced] if forced else kernels
    worst = 0.0
    for case in cases:
        call = (*case.reads, *case.weights)
        expected, magnitude = expectation(op, case.reads, case.weights, case.attributes)
        first: np.ndarray | None = None
        for target in chosen:
            for threads, shift in ((1, 0), (2, 1), (1, None), (1, 3)):
                reads, weights = _misaligned(case.reads, shift), _misaligned(case.weights, shift)
                out = _core.run_op(op, reads, weights, case.attributes, target, threads, guard=True)
                out = out.view(expected.dtype) if expected.dtype == np.uint32 else out
                who = f"{op}/{target} {case.name}, {threads} threads, inputs "
                who += "that end with a page" if shift is None else f"{shift} floats off alignment"
                for name, given, now in zip(ops.arguments(op), call, (*reads, *weights), strict=False):
                    assert not isinstance(given, np.ndarray) or given.tobytes() == now.tobytes(), (
                        f"{who}: {name} was changed"
                    )
                if first is None:
                    first = out
                    worst = max(worst, assert_agrees(out, expected, magnitude, definition.UNITS, who))
                else:
                    _assert_same_bits(first, out, f"{who}: other bits than {op}/{chosen[0]}")
    return worst


def expectation(
    op: str, reads: Sequence[Any], weights: Sequence[Any], attributes: dict[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """What a call of an op should give, by its reference, and the magnitude of each element. What is not floats (the
    blocks of quantize_q8) comes as its 32-bit words, uint32, of which each has to be right."""
    from cutaway import ops
    from cutaway.kernels.quantize_q8 import quantize_q8
    from cutaway.magnitude import magnitude

    definition = ops.definition(op)
    with np.errstate(all="ignore"):
        expected = definition.reference(*reads, *weights, **attributes)
        if expected.dtype == quantize_q8.BLOCK:
            words = np.ascontiguousarray(expected).view(np.uint32).reshape(*expected.shape, -1)
            return words, np.ones(words.shape)
        stored = [(w.spread, w.step) for w in weights if isinstance(w, ops.Stored)]
        return expected, magnitude(op, reads, weights, attributes, stored)


def _assert_same_bits(a: np.ndarray, b: np.ndarray, message: str) -> None:
    """Equal bit for bit, but for the payload of NaN, which IEEE 754 leaves open."""
    assert a.shape == b.shape, message
    differs = (a.view(np.uint32) != b.view(np.uint32)) & ~(np.isnan(a) & np.isnan(b))
    if differs.any():
        at = tuple(int(i) for i in np.argwhere(differs)[0])
        raise AssertionError(f"{message}: {int(differs.sum())} of {a.size}, first at {at}: {a[at]!r} and {b[at]!r}")


def _misaligned(arrays: Iterable[Any], shift: int | None) -> list[Any]:
    """Copies whose data begin `shift` elements after a 64-byte boundary, with NaN around them; None: that end where a
    page does, before one that cannot be read."""
    out: list[Any] = []
    for array in arrays:
        if not isinstance(array, np.ndarray) or array.dtype.kind == "V":  # none, or laid out already
            out.append(getattr(array, "packed", array))
            continue
        if shift is None:
            room = _before_a_wall(array.nbytes)
            begin = room.size - array.nbytes
        else:
            room = np.full(array.nbytes + 128 + shift * array.itemsize, 0xFF, np.uint8)  # NaN, as floats
            begin = -room.ctypes.data % 64 + shift * array.itemsize
        view = room[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
        view[...] = array
        out.append(view)
    return out


def _before_a_wall(size: int) -> np.ndarray:
    """Whole pages of at least `size` bytes; the page behind them cannot be read."""
    pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    room = np.frombuffer(mmap.mmap(-1, pages + mmap.PAGESIZE), np.uint8)
    wall = ctypes.c_void_p(room.ctypes.data + pages)
    assert ctypes.CDLL(None).mprotect(wall, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    return room[:pages]


def adversarial_rows(width: int, seed: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """Named rows [T, width] on which careless sums fail."""
    rng = np.random.default_rng(seed + width)
    normal = rng.standard_normal((3, width)).astype(np.float32)
    yield "normal", normal
    yield "one row", normal[:1]  # with 4095 channels one element less than a thread takes at least
    yield "large offset", (normal + 1e4).astype(np.float32)
    yield "subnormal", (normal * np.float32(1e-39)).astype(np.float32)
    yield "all equal", np.full((2, width), 3.3, np.float32)
    yield "zeros", np.zeros((2, width), np.float32)
    outlier = normal.copy()
    outlier[:, width // 2] = 3e4
    yield "one outlier", outlier
    huge = normal.copy()
    huge[:, width // 3] = -1e20
    yield "one outlier whose square overflows", huge
    alternating = np.where(np.arange(width) % 2, -100.0, 100.0) + normal
    yield "alternating signs", alternating.astype(np.float32)


def non_finite_rows(width: int, seed: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """Named rows that hold one NaN or infinity each; the rows beside them are normal."""
    rng = np.random.default_rng(seed + width)
    for name, value in (("NaN", np.nan), ("inf", np.inf), ("-inf", -np.inf)):
        row = rng.standard_normal((3, width)).astype(np.float32)
        row[1, width // 2] = value
        yield f"one {name}", row


# --- pytest plugin ----------------------------------------------------------------------------------------------------


def pytest_addoption(parser: Any) -> None:
    parser.addoption(
        "--cutaway-target", default=None, help="run every kernel on this CPU target: scalar, avx2, avx512, ..."
    )


def pytest_configure(config: Any) -> None:
    if target := config.getoption("--cutaway-target"):
        os.environ["CUTAWAY_TARGET"] = target
