"""ct.check: what must not change a model's logits by a single bit, each tried, and the stage that breaks it named."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cutaway.compare import Row
from cutaway.errors import ArgumentError
from cutaway.hooks import Hook
from cutaway.model import Model
from cutaway.report import Report

Runs = tuple[np.ndarray, dict[str, np.ndarray]]  # logits [T, V] and watched rows by stage


def _run(model: Model, ids: np.ndarray, pieces: Sequence[int], watch: list[str], **options: Any) -> Runs:
    """One sequence in the given pieces: logits of every token, and each watched stage's rows."""
    logits, rows = [], []
    with model.session(max(model.n_ctx, len(ids))) as s:
        at = 0
        for n in pieces:
            out = s.forward([ids[at : at + n]], watch=watch, all_rows=True, **options)
            logits.append(out.logits)
            rows.append({c["name"]: c["data"] for c in out.captures})
            at += n
    return np.concatenate(logits), {n: np.concatenate([r[n] for r in rows]) for n in watch}


def _whole(model: Model, ids: np.ndarray, watch: list[str]) -> Runs:
    return _run(model, ids, [len(ids)], watch)


def _prefill_vs_decode(model: Model, ids: np.ndarray, watch: list[str]) -> Runs:
    return _run(model, ids, [1] * len(ids), watch)


def _chunks(model: Model, ids: np.ndarray, watch: list[str]) -> Runs:
    pieces, left = [], len(ids)
    for n in (3, 1, 7, 2, 5) * len(ids):
        pieces.append(min(n, left))
        left -= pieces[-1]
        if not left:
            break
    return _run(model, ids, pieces, watch)


def _cache_vs_none(model: Model, ids: np.ndarray, watch: list[str]) -> Runs:
    """Every token computed from scratch, with nothing kept of the ones before it."""
    logits, rows = [], []
    for n in range(1, len(ids) + 1):
        out, seen = _whole(model, ids[:n], watch)
        logits.append(out[-1:])
        rows.append({k: v[-1:] for k, v in seen.items()})
    return np.concatenate(logits), {k: np.concatenate([r[k] for r in rows]) for k in watch}


def _batch_vs_single(model: Model, ids: np.ndarray, watch: list[str]) -> Runs:
    """The same sequence between two others of other lengths."""
    others = [ids[: max(1, len(ids) // 2)][::-1], np.concatenate([ids[::-1], ids[:3]])]
    with model.session(max(model.n_ctx, len(ids) + 3), 3) as s:
        out = s.forward([others[0], ids, others[1]], watch=watch, all_rows=True)
    at = slice(len(others[0]), len(others[0]) + len(ids))
    return out.logits[at], {c["name"]: c["data"][at] for c in out.captures}


def _watched_vs_not(model: Model, ids: np.ndarray, watch: list[str]) -> Runs:
    everything = [s.name for s in model.graph]
    with model.session(max(model.n_ctx, len(ids))) as s:
        out = s.forward([ids], watch=everything, all_rows=True)
    return out.logits, {c["name"]: c["data"] for c in out.captures if c["name"] in watch}


def _hooked_vs_not(model: Model, ids: np.ndarray, watch: list[str]) -> Runs:
    """A hook on every stage that changes nothing."""
    hooks = [Hook(s.name, lambda act, hook: None) for s in model.graph]
    return _run(model, ids, [len(ids)], watch, hooks=hooks)


CHECKS: dict[str, Callable[[Model, np.ndarray, list[str]], Runs]] = {
    "repeat": _whole,
    "prefill_vs_decode": _prefill_vs_decode,
    "cache_vs_none": _cache_vs_none,
    "chunks": _chunks,
    "batch_vs_single": _batch_vs_single,
    "watched_vs_not": _watched_vs_not,
    "hooked_vs_not": _hooked_vs_not,
}


def _compared(model: Model, name: str, ids: np.ndarray, base: np.ndarray) -> Row:
    other, _ = CHECKS[name](model, ids, [])
    if other.tobytes() == base.tobytes():
        return Row(
            "logits",
            name,
            name,
            "whole prompt at once",
            0.0,
            0.0,
            0.0,
            [0, 0],
            float(base[0, 0]),
            float(base[0, 0]),
            True,
        )
    # Run both ways once more with everything watched: the first stage with other bits is where it parts.
    watch = [s.name for s in model.graph if -2 not in s.shape]
    _, expected = _whole(model, ids, watch)
    _, actual = CHECKS[name](model, ids, watch)
    for stage in watch:
        a, b = actual[stage].reshape(len(ids), -1), expected[stage].reshape(len(ids), -1)
        differ = a.view(np.uint32) != b.view(np.uint32)
        if differ.any():
            token, channel = (int(i) for i in np.argwhere(differ)[0])
            off = np.abs(a.astype(np.float64) - b)
            size = float(np.sqrt((b.astype(np.float64) ** 2).sum()))
            return Row(
                stage, name, name, "whole prompt at once", float("inf"), 0.0,
                float(np.sqrt((off**2).sum())) / (size or 1.0),
                [token, channel], float(a[token, channel]), float(b[token, channel]), False,
            )  # fmt: skip
    at = np.argwhere(other != base)[0]
    return Row(
        "logits", name, name, "whole prompt at once", float("inf"), 0.0, float("nan"), [int(i) for i in at],
        float(other[tuple(at)]), float(base[tuple(at)]), False,
    )  # fmt: skip


def check(model: Model, tokens: Any, checks: Sequence[str] | str | None = None) -> Report:
    """Tries what must leave the logits of one sequence bit for bit as they are; a row per check.

    repeat             the same call again
    prefill_vs_decode  token by token
    cache_vs_none      every token from scratch, without keys and values of earlier calls
    chunks             the prompt in pieces of unequal length
    batch_vs_single    beside sequences of other lengths
    watched_vs_not     every stage captured
    hooked_vs_not      a hook on every stage that changes nothing

    A row that fails names the first stage whose bits differ. Raises ArgumentError for an unknown check."""
    wanted = list(CHECKS) if checks is None else [checks] if isinstance(checks, str) else list(checks)
    for name in wanted:
        if name not in CHECKS:
            near = difflib.get_close_matches(name, CHECKS, 2, 0.5)
            raise ArgumentError(f"there is no check {name!r}", hint=f"there are {', '.join(near or CHECKS)}", name=name)
    arrays, _ = model._token_arrays(tokens)
    if len(arrays) != 1:
        raise ArgumentError(f"check runs one sequence, got {len(arrays)}")
    ids = arrays[0]
    base, _ = _whole(model, ids, [])
    rows = [_compared(model, name, ids, base) for name in wanted]
    return Report(
        f"{model.name} on {model.device}: {len(ids)} tokens", "check", rows, ids.tolist(), {"a": model.manifest()}
    )
