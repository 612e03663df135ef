"""Hooks: your functions, called after a stage with its tensor, which they may change.

A hook is `fn(act, hook)`. `act` is a float32 array [batch, pos, ..] of its own: keep it, change it in place, or return another
of the same shape; return None to leave the stage as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cutaway.cache import assemble, flatten
from cutaway.errors import HookError, HookReturnError

HookFunction = Callable[[np.ndarray, "HookPoint"], Any]


@dataclass
class HookPoint:
    """Where a hook was called."""

    name: str  # of the stage
    layer: int  # -1 outside the layers
    step: int  # 0 for the prompt, then one more for each generated token
    lengths: list[int] = field(default_factory=list)  # tokens of each sequence in this call


@dataclass
class Hook:
    name: str
    fn: HookFunction
    fired: int = 0


def checked(result: Any, act: np.ndarray, name: str) -> np.ndarray:
    """What a hook returned, as float32 of the stage's shape; raises HookReturnError."""
    expected = f"None or an array of shape {list(act.shape)}"
    if hasattr(result, "__dlpack__") and not isinstance(result, np.ndarray):
        result = np.from_dlpack(result)
    if not isinstance(result, np.ndarray):
        raise HookReturnError(
            f"hook on {name} returned {type(result).__name__}, expected {expected}",
            hook=name,
            expected=list(act.shape),
            got=type(result).__name__,
        )
    if result.shape != act.shape:
        raise HookReturnError(
            f"hook on {name} returned shape {list(result.shape)}, expected {expected}",
            hook=name,
            expected=list(act.shape),
            got=list(result.shape),
        )
    if not np.can_cast(result.dtype, np.float32, "safe"):
        raise HookReturnError(
            f"hook on {name} returned dtype {result.dtype}, which does not become float32 without rounding",
            hint="return result.astype(np.float32) if the rounding is meant",
            hook=name,
            expected="float32",
            got=str(result.dtype),
        )
    return result.astype(np.float32, copy=False)


class HookRunner:
    """Calls hooks for the core: given a tensor, returns None where nothing changed, else the new values."""

    def __init__(self, hooks: list[Hook], graph: Any, step: int = 0) -> None:
        self.hooks, self.graph, self.step = hooks, graph, step
        self.layers = {s.name: s.layer for s in graph}

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(h.name for h in self.hooks))

    def __call__(
        self, name: str, shape: list[int], tokens: list[int], positions: list[int], data: np.ndarray
    ) -> np.ndarray | None:
        capture = {"data": data, "shape": shape, "tokens": tokens, "positions": positions}
        before = assemble(capture)
        now = before
        for hook in self.hooks:
            if hook.name != name:
                continue
            act = np.array(now)
            hook.fired += 1
            result = hook.fn(act, HookPoint(name, self.layers[name], self.step, list(tokens)))
            now = act if result is None else checked(result, act, name)
        new = flatten(now, capture)
        return None if new.tobytes() == data.tobytes() else new


def check_fired(hooks: list[Hook]) -> None:
    """Raises HookError naming the hooks that were never called."""
    silent = [h.name for h in hooks if not h.fired]
    if silent:
        raise HookError(
            f"hooks on {', '.join(silent)} were never called",
            hint="run the model inside the `with` block, and no shorter than to these stages",
            hooks=silent,
        )
