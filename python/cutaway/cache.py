"""ActivationCache: what was watched, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cutaway import names
from cutaway.errors import ArgumentError


def assemble(capture: dict[str, Any]) -> np.ndarray:
    """A captured tensor with its batch axis: [B, T, ..], or [B, H, T, S] for scores and pattern.

    Sequences of unequal length are padded on the right with NaN."""
    data, tokens = capture["data"], capture["tokens"]
    most = max(tokens)
    if capture["positions"]:  # blocks [T, H, S], one a sequence
        heads, longest = capture["shape"][1], max(capture["positions"])
        out = np.full((len(tokens), heads, most, longest), np.nan, np.float32)
        at = 0
        for i, (t, s) in enumerate(zip(tokens, capture["positions"], strict=True)):
            out[i, :, :t, :s] = data[at : at + t * heads * s].reshape(t, heads, s).transpose(1, 0, 2)
            at += t * heads * s
        return out
    if len(set(tokens)) == 1:
        return data.reshape(len(tokens), most, *data.shape[1:])
    out = np.full((len(tokens), most, *data.shape[1:]), np.nan, np.float32)
    at = 0
    for i, t in enumerate(tokens):
        out[i, :t] = data[at : at + t]
        at += t
    return out


def flatten(array: np.ndarray, capture: dict[str, Any]) -> np.ndarray:
    """The inverse of assemble: what the core keeps."""
    tokens = capture["tokens"]
    if capture["positions"]:
        parts = [
            array[i, :, :t, :s].transpose(1, 0, 2).ravel()
            for i, (t, s) in enumerate(zip(tokens, capture["positions"], strict=True))
        ]
        return np.ascontiguousarray(np.concatenate(parts), np.float32)
    return np.ascontiguousarray(np.concatenate([array[i, :t] for i, t in enumerate(tokens)]), np.float32)


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


class ActivationCache(Mapping[str, np.ndarray]):
    """Watched tensors by name: `cache["blocks.5.resid_post"]`, `cache["resid_post", 5]`, or another tool's name for it.

    Arrays are float32 [batch, pos, ..]; scores and pattern [batch, head, query, key].
    `lengths`: tokens of each sequence."""

    def __init__(
        self, arrays: dict[str, np.ndarray], graph: Any, lengths: list[int], manifest: dict[str, Any] | None = None
    ) -> None:
        self._arrays, self._graph = arrays, graph
        self.lengths = lengths
        self.manifest = manifest or {}

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, str) and key in self._arrays:
            return self._arrays[key]
        name = names.resolve_one(self._graph, key)
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
        return ActivationCache({n: a[0] for n, a in self._arrays.items()}, self._graph, self.lengths, self.manifest)

    def save(self, path: str) -> None:
        """Writes the arrays as an uncompressed .npz file, by name. np.load(path) reads it."""
        if not str(path).endswith(".npz"):
            raise ArgumentError(f"{str(path)!r} does not end in .npz, the only format a cache is saved in")
        arrays: dict[str, Any] = dict(self._arrays)
        np.savez(path, **arrays)

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
        lines = [f"ActivationCache: {len(self)} tensors, {self.nbytes() / 1e6:.1f} MB"]
        for name, a in list(self._arrays.items())[:12]:
            finite = a[np.isfinite(a)]
            rms = float(np.square(finite, dtype=float).mean()) ** 0.5 if finite.size else 0.0
            span = f"min {finite.min():.3g} rms {rms:.3g} max {finite.max():.3g}" if finite.size else ""
            bad = a.size - finite.size
            lines.append(f"  {name} {list(a.shape)} {span}" + (f", {bad} not finite" if bad else ""))
        if len(self) > 12:
            lines.append(f"  ... and {len(self) - 12} more")
        return "\n".join(lines)
