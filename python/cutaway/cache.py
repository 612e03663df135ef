"""ActivationCache: what was watched, by name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cutaway import names
from cutaway.errors import ArgumentError, OutOfMemoryError
from cutaway.kernels.quantize_q8 import quantize_q8
from cutaway.output import counted, write_arrays
from cutaway.sizes import parse_bytes, size, sizes_apart


def assemble(capture: dict[str, Any]) -> np.ndarray:
    """A captured tensor with its batch axis: [B, T, ..], or [B, H, T, S] for scores and pattern.

    Sequences of unequal length are padded on the right with NaN, integers with 0."""
    data, tokens = capture["data"], capture["tokens"]
    padding = np.nan if data.dtype.kind == "f" else 0
    most = max(tokens)
    if capture["positions"]:  # blocks [T, H, S], one a sequence
        heads, longest = capture["shape"][1], max(capture["positions"])
        out = np.full((len(tokens), heads, most, longest), padding, data.dtype)
        at = 0
        for i, (t, s) in enumerate(zip(tokens, capture["positions"], strict=True)):
            out[i, :, :t, :s] = data[at : at + t * heads * s].reshape(t, heads, s).transpose(1, 0, 2)
            at += t * heads * s
        return out
    if len(set(tokens)) == 1:
        return data.reshape(len(tokens), most, *data.shape[1:])
    out = np.full((len(tokens), most, *data.shape[1:]), padding, data.dtype)
    at = 0
    for i, t in enumerate(tokens):
        out[i, :t] = data[at : at + t]
        at += t
    return out


class Caught(Mapping[str, np.ndarray]):
    """What one call captured, by the names it was asked for; an array is made when it is asked for."""

    def __init__(self, core: Any, watch: list[str], graph: Any, lengths: list[int], kept: list[int]) -> None:
        self._core, self._graph, self._lengths, self._kept = core, graph, lengths, kept
        self._at = {name: i for i, name in enumerate(core.names())}
        # None where the run stopped before. Codes and scales of rounded activations lie in one tensor.
        self._names = [n for n in watch if tensor_of(n) in self._at]
        self._made: dict[str, np.ndarray] = {}

    def capture(self, name: str) -> dict[str, Any]:
        """As the core has it: data [T, ..] of all sequences, or blocks [T, H, S] of each."""
        out: dict[str, Any] = self._core[self._at[name]]
        if out["positions"]:  # the core leaves sequences without new tokens out of its lists
            given = iter(out["positions"])
            out["positions"] = [next(given) if n else 0 for n in self._lengths]
        out["tokens"] = self._kept
        return out

    def captures(self) -> list[dict[str, Any]]:
        return [self.capture(name) for name in dict.fromkeys(map(tensor_of, self._names))]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._made:
            capture = self.capture(tensor_of(name))
            if capture["q8"]:
                stage, _, part = name.partition("@act_")
                blocks = np.ascontiguousarray(capture["data"]).view(quantize_q8.BLOCK)[..., 0]
                data = np.ascontiguousarray(blocks["q" if part == "q8" else "d"])
                capture["data"] = data.reshape(len(data), *self._graph[stage].shape[1:]) if part == "q8" else data
            self._made[name] = assemble(capture)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names


def tensor_of(name: str) -> str:
    """The core's tensor that holds a stage or tap."""
    return name.replace("@act_scale", "@act_q8")


def flatten(array: np.ndarray, capture: dict[str, Any]) -> np.ndarray:
    """The inverse of assemble: what the core keeps."""
    tokens = capture["tokens"]
    if capture["positions"]:
        parts = [
            array[i, :, :t, :s].transpose(1, 0, 2).ravel()
            for i, (t, s) in enumerate(zip(tokens, capture["positions"], strict=True))
        ]
        return np.ascontiguousarray(np.concatenate(parts))
    return np.ascontiguousarray(np.concatenate([array[i, :t] for i, t in enumerate(tokens)]))


def position_axis(stage: Any) -> int:
    """The axis of a stage's tensor that counts tokens: 2 for scores and pattern [batch, head, query, key], else 1."""
    return 2 if -2 in stage.shape else 1


def at_positions(pos: Any, lengths: list[int], axis: int) -> tuple[Any, ...]:
    """The index of `pos` (an int, a slice or a list) along an axis of [batch, ..]; raises ArgumentError outside it.

    A negative int counts from each sequence's own end; slices and lists that do so need sequences of equal length."""
    most, least = max(lengths), min(lengths)
    before = (slice(None),) * (axis - 1)
    single = isinstance(pos, (int, np.integer)) and not isinstance(pos, (bool, np.bool_))
    if isinstance(pos, slice):
        backwards = any(p is not None and p < 0 for p in (pos.start, pos.stop, pos.step))
    elif single:
        if not -least <= pos < most:
            raise ArgumentError(f"pos is {pos}, expected -{least} <= pos < {most}, the tokens there are")
        backwards = pos < 0
        if backwards and most != least:
            rows = np.arange(len(lengths))
            return rows, *before, np.asarray(lengths) + int(pos)
    else:
        listed = np.asarray(pos)
        if listed.ndim != 1 or not listed.size or listed.dtype.kind not in "iu":
            raise ArgumentError(f"pos is {pos!r}, expected an integer, a slice or a list of integers")
        if not (-most <= listed.min() and listed.max() < most):
            raise ArgumentError(f"pos is {pos!r}, expected -{most} <= pos < {most}, the tokens there are")
        pos, backwards = listed, listed.min() < 0
    if backwards and most != least:
        raise ArgumentError(
            f"pos is {pos!r} and the sequences have {lengths} tokens, so the end is not in one place",
            hint="use one integer, or run the sequences one by one",
        )
    return slice(None), *before, pos


@dataclass
class Rows:
    """What `pos` means for sequences of these lengths: the rows to copy, and where each goes in what comes out."""

    keep: list[list[int]]  # of each sequence, ascending
    count: int  # in what comes out
    index: Any  # of the rows kept, along the axis that counts them: an int, a slice or an array


def rows_at(pos: Any, lengths: list[int]) -> Rows:
    """The rows that `pos` (an int, a slice or a list, as at_positions takes it) names. Raises ArgumentError."""
    at_positions(pos, lengths, 1)
    most = max(lengths)
    if isinstance(pos, (int, np.integer)):
        return Rows([[p] if 0 <= (p := int(pos) + (n if pos < 0 else 0)) < n else [] for n in lengths], 1, 0)
    wanted = np.arange(most)[pos]
    rows, order = np.unique(wanted, return_inverse=True)
    index = slice(None) if np.array_equal(rows, wanted) else order
    return Rows([rows[rows < n].tolist() for n in lengths], len(wanted), index)


def until(
    graph: Any, stop_at_layer: Any, names_filter: Any, taps: Mapping[str, str] | None = None
) -> tuple[list[str], str]:
    """What a filter means before a layer, and the stage to stop after. Raises ArgumentError where all is later."""
    layers = 1 + max(s.layer for s in graph)
    if not isinstance(stop_at_layer, int) or not -layers <= stop_at_layer <= layers:
        raise ArgumentError(f"stop_at_layer is {stop_at_layer!r}, expected an integer of at most {layers} layers")
    last = stop_at_layer % layers if stop_at_layer != layers else layers
    stages = [s.name for s in graph if s.layer < last and (s.layer >= 0 or s.name in ("embed", "pos_embed"))]
    if last == 0:
        stages = [s.name for s in graph if s.layer <= 0][: max(1, [s.layer for s in graph].index(0))]
    for one in names_filter if isinstance(names_filter, (list, set, frozenset)) else [names_filter]:
        found = names.select(graph, one, taps)
        if not {n.partition("@")[0] for n in found} & set(stages):
            raise ArgumentError(f"{found[0]} lies behind stop_at_layer={stop_at_layer}")
    return [n for n in names.select(graph, names_filter, taps) if n.partition("@")[0] in stages], stages[-1]


def refuse_over(budget: int | str | None, sizes: Mapping[str, int]) -> None:
    """Raises OutOfMemoryError where stages of these sizes take more than the budget."""
    if budget is None or sum(sizes.values()) <= parse_bytes(budget):
        return
    big = max(sizes, key=lambda n: sizes[n])
    need, most = sizes_apart(sum(sizes.values()), parse_bytes(budget))
    raise OutOfMemoryError(
        f"{counted(len(sizes), 'stage')} would take {need} and the budget is {most}; the largest is {big} with "
        f"{size(sizes[big])}",
        hint="name fewer stages or positions, run fewer tokens, or raise budget=; model.plan_cache(..) lists them",
        bytes=sum(sizes.values()),
        budget=parse_bytes(budget),
        largest=big,
    )


class ActivationCache(Mapping[str, np.ndarray]):
    """Watched tensors by name: `cache["blocks.5.resid_post"]`, `cache["resid_post", 5]`, or another tool's name for it.

    Arrays are [batch, pos, ..], float32 unless run_with_cache was asked for float16; scores and pattern are [batch,
    head, query, key]. `lengths`: tokens of each sequence. `ids`: these tokens, a list for each sequence."""

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        graph: Any,
        lengths: list[int],
        manifest: dict[str, Any] | None = None,
        taps: Mapping[str, str] | None = None,
        ids: list[list[int]] | None = None,
    ) -> None:
        self._arrays, self._graph, self._taps = arrays, graph, taps or {}
        self.lengths, self.ids = lengths, ids or []
        self.manifest = manifest or {}

    def _like(self, arrays: dict[str, np.ndarray]) -> ActivationCache:
        return ActivationCache(arrays, self._graph, self.lengths, self.manifest, self._taps, self.ids)

    def at_rows(self, rows: Rows) -> ActivationCache:
        """The same in the order that `pos` gave, for a cache of the rows that were kept."""
        axis = lambda name: position_axis(self._graph[name.partition("@")[0]])
        return self._like({n: a[(slice(None),) * axis(n) + (rows.index,)] for n, a in self.items()})

    def astype(self, dtype: Any) -> ActivationCache:
        """The same with float arrays of another float type. Raises ArgumentError where a number lies beyond it."""
        if np.dtype(dtype).kind != "f":
            raise ArgumentError(f"a cache holds floats, got {np.dtype(dtype)}")
        return self._like({n: _cast(n, a, np.dtype(dtype)) for n, a in self.items()})

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, str) and key in self._arrays:
            return self._arrays[key]
        name = names.resolve_one(self._graph, key, self._taps)
        if name not in self._arrays:
            raise KeyError(f"{name} was not captured; captured are {', '.join(self._arrays) or 'none'}")
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __contains__(self, key: object) -> bool:
        try:
            self[key]
        except (KeyError, ValueError):
            return False
        return True

    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(a.nbytes for a in self._arrays.values())

    def remove_batch_dim(self) -> ActivationCache:
        """The same without the batch axis, for one sequence."""
        return self._like({n: a[0] for n, a in self._arrays.items()})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the arrays by name as .safetensors (with ids and manifest) or .npz, complete or not at all.

        np.load(path) reads an .npz, safetensors.numpy.load_file(path) the other. Raises SaveError."""
        notes = {"ids": json.dumps(self.ids), **{k: str(v) for k, v in self.manifest.items()}}
        write_arrays(path, self._arrays, notes)

    def accumulated_resid(self, layer: int | None = None, incl_mid: bool = False) -> tuple[np.ndarray, list[str]]:
        """The residual as it grows: resid_pre of layers 0 .. layer (default: to the end, resid_post of the last).

        [component, batch, pos, d], and the stages' names. incl_mid: resid_mid of the layers before `layer` too."""
        last = 1 + max(s.layer for s in self._graph)
        layer = self._layer(layer, last)
        chosen = []
        for i in range(layer + 1):
            chosen.append(f"blocks.{i}.resid_pre" if i < last else f"blocks.{i - 1}.resid_post")
            if incl_mid and i < layer:
                chosen.append(f"blocks.{i}.resid_mid")
        return np.stack([self[n] for n in chosen]), chosen

    def decompose_resid(self, layer: int | None = None) -> tuple[np.ndarray, list[str]]:
        """What was added to the residual before `layer` (default: in all layers): embeddings, then out_post of each.

        [component, batch, pos, d], and the stages' names. Their sum is that layer's resid_pre, but for the rounding of
        each addition to float32."""
        layer = self._layer(layer, 1 + max(s.layer for s in self._graph))
        chosen = [n for n in ("embed", "pos_embed") if n in self._graph]
        chosen += [f"blocks.{i}.{part}.out_post" for i in range(layer) for part in ("attn", "mlp")]
        return np.stack([self[n] for n in chosen]), chosen

    def _layer(self, layer: int | None, last: int) -> int:
        if layer is None or (isinstance(layer, int) and layer == -1):
            return last
        if not isinstance(layer, int) or not 0 <= layer <= last:
            raise ArgumentError(f"layer is {layer!r}, expected 0 to {last}, or None for the end")
        return layer

    def __repr__(self) -> str:
        lines = [f"ActivationCache: {counted(len(self), 'tensor')}, {size(self.nbytes())}"]
        for name, a in list(self._arrays.items())[:12]:
            finite = a[np.isfinite(a)]
            rms = float(np.square(finite, dtype=float).mean()) ** 0.5 if finite.size else 0.0
            span = f"min {finite.min():.3g} rms {rms:.3g} max {finite.max():.3g}" if finite.size else ""
            bad = a.size - finite.size
            kind = "" if a.dtype == np.float32 else f" {a.dtype}"
            lines.append(f"  {name} {list(a.shape)}{kind} {span}" + (f", {bad} not finite" if bad else ""))
        if len(self) > 12:
            lines.append(f"  ... and {len(self) - 12} more")
        return "\n".join(lines)


def _cast(name: str, array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    if array.dtype.kind != "f":
        return array
    with np.errstate(over="ignore"):
        out = array.astype(dtype)
    lost = np.isfinite(array) & ~np.isfinite(out)
    if lost.any():
        at = [int(i) for i in np.argwhere(lost)[0]]
        raise ArgumentError(
            f"{name} holds {array[tuple(at)]:.6g} at {at}, and {dtype} ends at {float(np.finfo(dtype).max):.6g}",
            hint="keep it as dtype='float32'",
            name=name,
            at=at,
        )
    return out
