"""ActivationCache: what was watched, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cutaway import names


def assemble(capture: dict[str, Any]) -> np.ndarray:
    """A captured tensor with its batch axis: [B, T, ..], or [B, H, T, S] for scores and pattern.

    Sequences of unequal length are padded on the right: scores with -inf, the rest with NaN."""
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


class ActivationCache(Mapping[str, np.ndarray]):
    """Watched tensors by name: `cache["blocks.5.resid_post"]`, `cache["resid_post", 5]`, or another tool's name for it.

    Arrays are float32 [batch, pos, ..]; scores and pattern [batch, head, query, key]. `lengths`: tokens of each sequence."""

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
        """Writes the arrays as an uncompressed .npz file, by name."""
        np.savez(path, **self._arrays)

    def __repr__(self) -> str:
        lines = [f"ActivationCache: {len(self)} tensors, {self.nbytes() / 1e6:.1f} MB"]
        for name, a in list(self._arrays.items())[:12]:
            finite = a[np.isfinite(a)]
            span = (
                f"min {finite.min():.3g} rms {np.sqrt((finite.astype(np.float64) ** 2).mean()):.3g} max {finite.max():.3g}"
                if finite.size
                else ""
            )
            bad = a.size - finite.size
            lines.append(f"  {name} {list(a.shape)} {span}" + (f", {bad} not finite" if bad else ""))
        if len(self) > 12:
            lines.append(f"  ... and {len(self) - 12} more")
        return "\n".join(lines)
