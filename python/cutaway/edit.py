"""Ready-made hooks: `with m.hooks([("blocks.*.mlp.out", ct.edit.scale(0.5))])`."""

from __future__ import annotations

from typing import Any

import numpy as np

from cutaway.cache import at_positions
from cutaway.errors import ArgumentError
from cutaway.hooks import HookFunction, HookPoint


def _at(act: np.ndarray, pos: Any, point: HookPoint) -> Any:
    return ... if pos is None else at_positions(pos, point.lengths, point.axis)


def _set(act: np.ndarray, pos: Any, values: np.ndarray, point: HookPoint, combine: Any) -> None:
    where = _at(act, pos, point)
    try:
        act[where] = combine(act[where], values)
    except ValueError as error:
        raise ArgumentError(
            f"{point.name} is {list(act[where].shape)} there, and the given values are {list(values.shape)}"
        ) from error


def replace(values: Any, pos: Any = None) -> HookFunction:
    """Puts the given values in place: an array of the stage's shape, or one that broadcasts to it. pos: only there.

    With `pos`, an array as long as the stage is taken at the same positions."""
    given = np.asarray(values, np.float32)

    def hook(act: np.ndarray, point: HookPoint) -> None:
        v = given[_at(act, pos, point)] if given.shape == act.shape else given
        _set(act, pos, v, point, lambda _, new: new)

    return hook


def add(values: Any, pos: Any = None) -> HookFunction:
    """Adds values that broadcast to the stage."""
    given = np.asarray(values, np.float32)
    return lambda act, point: _set(act, pos, given, point, np.add)


def scale(factor: float, pos: Any = None) -> HookFunction:
    """Multiplies the stage."""
    return lambda act, point: _set(act, pos, np.asarray(factor, np.float32), point, np.multiply)


def zero(pos: Any = None, head: int | None = None) -> HookFunction:
    """Sets the stage to zero, or one head of it: of [batch, pos, head, d_head], or of scores and pattern."""

    def hook(act: np.ndarray, point: HookPoint) -> None:
        where: Any = ...
        if head is not None:
            if act.ndim != 4:
                raise ArgumentError(f"{point.name} is {list(act.shape)} and has no heads")
            heads = act.shape[3 - point.axis]
            if not isinstance(head, (int, np.integer)) or not 0 <= head < heads:
                raise ArgumentError(f"head is {head!r}, expected 0 to {heads - 1} of {point.name}")
            where = (slice(None), slice(None), head) if point.axis == 1 else (slice(None), head)
        new = np.array(act)
        new[where] = 0
        at = _at(act, pos, point)
        act[at] = new[at]

    return hook
