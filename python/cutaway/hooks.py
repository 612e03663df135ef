"""Hooks: your functions, called after a stage with its tensor, which they may change.

A hook is `fn(act, hook)`. `act` is a float32 array [batch, pos, ..] of its own: keep it, change it in place, or return
another of the same shape; return None to leave the stage as it is. Runs that a hook itself starts call no hooks of the
block it is in. `hook` says where the call comes from:

>>> import cutaway as ct
>>> m = ct.load("tiny:llama")
>>> def show(act, hook):
...     print(hook.name, act.shape, hook.kernel.split("/")[0], hook.positions.tolist(), "step", hook.step)
>>> with m.hooks([("blocks.1.attn.z", show)]):
...     text = m.generate([5, 6, 7], max_new_tokens=3).text
blocks.1.attn.z (1, 3, 4, 16) attention [[0, 1, 2]] step 0
blocks.1.attn.z (1, 1, 4, 16) attention [[3]] step 1
blocks.1.attn.z (1, 1, 4, 16) attention [[4]] step 2
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cutaway import names
from cutaway.cache import assemble, flatten, position_axis
from cutaway.errors import ArgumentError, HookError, HookReturnError

HookFunction = Callable[[np.ndarray, "HookPoint"], Any]


@dataclass
class HookPoint:
    """Where a hook was called."""

    name: str  # of the stage
    layer: int  # -1 outside the layers
    step: int  # 0 for the prompt, then one more for each generated token
    kernel: str  # that computed `act`: "rms_norm/avx2"
    positions: (
        np.ndarray
    )  # [batch, pos]: where each row of `act` stands in its sequence; -1 where a shorter one has none
    lengths: list[int]  # tokens of each sequence in `act`
    axis: int = 1  # of `act` that counts these tokens: 2 for scores and pattern [batch, head, query, key]

    def __repr__(self) -> str:
        spans = [f"{p[0]}..{p[n - 1]}" for p, n in zip(self.positions, self.lengths, strict=True)]
        return f"HookPoint({self.name}, {self.kernel}, positions {', '.join(spans)}, step {self.step})"


def _positions(first: list[int], lengths: list[int]) -> np.ndarray:
    columns = np.arange(max(lengths))
    return np.where(columns < np.array(lengths)[:, None], np.array(first)[:, None] + columns, -1)


@dataclass
class Hook:
    name: str
    fn: HookFunction
    fired: int = 0


def made_hooks(graph: Any, given: Sequence[tuple[Any, HookFunction]]) -> list[Hook]:
    """One hook for each stage that the names of (names, function) pairs mean; raises ArgumentError for what is none."""
    made = []
    for item in given:
        if not (isinstance(item, tuple) and len(item) == 2 and callable(item[1])):
            raise ArgumentError(f"a hook is (names, function), got {item!r}")
        made += [Hook(name, item[1]) for name in names.select(graph, item[0])]
    return made


def checked(result: Any, act: np.ndarray, name: str) -> np.ndarray:
    """What a hook returned, as float32 (a choice of experts: int32) of the stage's shape; raises HookReturnError."""
    expected = f"None or an array of shape {list(act.shape)}"
    if hasattr(result, "__dlpack__") and not isinstance(result, np.ndarray):
        try:
            result = np.from_dlpack(result)
        except Exception as error:  # each library refuses in its own words: another device, gradients wanted
            raise HookReturnError(
                f"hook on {name} returned a {type(result).__name__} that NumPy cannot read ({error}); "
                f"expected {expected}",
                hook=name,
                expected=list(act.shape),
                got=type(result).__name__,
            ) from error
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
    if act.dtype.kind == "i":
        if result.dtype.kind not in "iu" or (result.astype(np.int32) != result).any():
            raise HookReturnError(
                f"hook on {name} returned dtype {result.dtype}, expected integers that int32 holds: they are indices",
                hook=name,
                expected="int32",
                got=str(result.dtype),
            )
        return result.astype(np.int32, copy=False)
    if not np.can_cast(result.dtype, np.float32, "safe"):
        raise HookReturnError(
            f"hook on {name} returned dtype {result.dtype}, which does not become float32 without rounding",
            hint="return result.astype(np.float32) if the rounding is meant",
            hook=name,
            expected="float32",
            got=str(result.dtype),
        )
    return result.astype(np.float32, copy=False)


class ActiveHooks(threading.local):
    """The hooks that a thread's `with model.hooks(..)` blocks have set, for one model."""

    def __init__(self) -> None:
        self.hooks: list[Hook] = []
        self.muted = 0  # so many of the first: their functions are running, and runs they start do not call them again

    def now(self) -> list[Hook]:
        return self.hooks[self.muted :]


class HookRunner:
    """Calls hooks for the core: given a tensor, returns None where nothing changed, else the new values."""

    def __init__(self, hooks: list[Hook], graph: Any, active: ActiveHooks, step: int = 0) -> None:
        self.graph, self.active, self.step = graph, active, step
        self.hooks: dict[str, list[Hook]] = {}  # by stage
        for hook in hooks:
            self.hooks.setdefault(hook.name, []).append(hook)

    @property
    def names(self) -> list[str]:
        return list(self.hooks)

    def __call__(
        self,
        name: str,
        shape: list[int],
        tokens: list[int],
        positions: list[int],
        data: np.ndarray,
        kernel: str,
        first: list[int],
    ) -> np.ndarray | None:
        capture = {"data": data, "shape": shape, "tokens": tokens, "positions": positions}
        before = assemble(capture)
        stage = self.graph[name]
        rows, axis = _positions(first, tokens), position_axis(stage)
        now = before
        for hook in self.hooks[name]:
            act = np.array(now)
            hook.fired += 1
            muted, self.active.muted = self.active.muted, len(self.active.hooks)
            try:
                point = HookPoint(name, stage.layer, self.step, kernel, rows.copy(), list(tokens), axis)
                result = hook.fn(act, point)
            finally:
                self.active.muted = muted
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
