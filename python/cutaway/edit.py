"""Ready-made hooks: `with m.hooks([("blocks.*.mlp.out", ct.edit.scale(0.5))])`."""

from __future__ import annotations

from typing import Any

import numpy as np

from cutaway.errors import ArgumentError
from cutaway.hooks import HookFunction


def _set(act: np.ndarray, pos: Any, values: np.ndarray, name: str, combine: Any) -> None:
    target = act if pos is None else act[:, pos]
    try:
        new = combine(target, values)
        if pos is None:
            act[...] = new
        else:
            act[:, pos] = new
    except ValueError as error:
        raise ArgumentError(
            f"{name} is {list(target.shape)} there, and the given values are {list(values.shape)}"
        ) from error


def replace(values: Any, pos: Any = None) -> HookFunction:
    """Puts the given values in place: an array of the stage's shape, or one that broadcasts to it. pos: only there.

    With `pos`, an array as long as the stage is taken at the same positions."""
    given = np.asarray(values, np.float32)

    def hook(act: np.ndarray, point: Any) -> None:
        v = given[:, pos] if pos is not None and given.shape == act.shape else given
        _set(act, pos, v, point.name, lambda _, new: new)

    return hook


def add(values: Any, pos: Any = None) -> HookFunction:
    """Adds values that broadcast to the stage."""
    given = np.asarray(values, np.float32)
    return lambda act, point: _set(act, pos, given, point.name, np.add)


def scale(factor: float, pos: Any = None) -> HookFunction:
    """Multiplies the stage."""
    return lambda act, point: _set(act, pos, np.asarray(factor, np.float32), point.name, np.multiply)


def zero(pos: Any = None, head: int | None = None) -> HookFunction:
    """Sets the stage to zero, or one head of it ([batch, pos, head, ..])."""

    def hook(act: np.ndarray, point: Any) -> None:
        part = act if head is None else act[:, :, head]
        if pos is None:
            part[...] = 0
        else:
            part[:, pos] = 0

    return hook
