"""Weights for the references: from the file's bytes, by the NumPy decoders alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from cutaway.graph import Weight
from cutaway.kernels.formats import format as formats


class FileWeights:
    """What a graph's weight references mean, as float32 arrays. It shares no layout code with the kernels it checks."""

    def __init__(self, file: Any, constants: dict[str, list[float]] | None = None) -> None:
        self.file = file
        self.constants = constants or {}
        self.info = {t.name: t for t in file.tensors}

    def raw(self, name: str) -> tuple[np.ndarray, int, str]:
        """The stored bytes [rows, row bytes], the elements of a row, the format's name."""
        info = self.info[name]
        shape = info.shape
        n = shape[-1] if shape else 1
        rows = int(np.prod(shape[:-1])) if len(shape) > 1 else 1
        return self.file.raw(name).reshape(rows, -1), n, info.format

    def tensor(self, name: str) -> np.ndarray:
        """A whole tensor as float32, in its own shape."""
        raw, _, fmt = self.raw(name)
        return formats.module(fmt).unpack(raw).reshape(self.info[name].shape)

    def all(self) -> dict[str, np.ndarray]:
        """Every tensor of the file by name, as the straight-line models take them."""
        return {name: self.tensor(name) for name in self.info}

    def _rows(self, values: np.ndarray, ref: Weight) -> np.ndarray:
        part = values[ref.first_row : ref.first_row + ref.rows]
        if not ref.heads:
            return part
        # [head, i, half] in the file -> [head, half, i]
        pairs = part.reshape(ref.heads, -1, 2, *part.shape[1:])
        return np.swapaxes(pairs, 1, 2).reshape(part.shape)

    def get(self, ref: Weight | dict[str, Any]) -> np.ndarray:
        """The rows that a stage uses, as float32 (constants as float64)."""
        ref = Weight(**ref) if isinstance(ref, dict) else ref
        if ref.tensor.startswith("$"):
            return np.array(self.constants[ref.tensor], np.float64)
        return self._rows(self.tensor(ref.tensor), ref)

    def spread_and_step(self, ref: Weight) -> tuple[np.ndarray, np.ndarray]:
        """Of each element the sum of its absolute terms and what one step of its code is: see kernels/formats."""
        raw, _, fmt = self.raw(ref.tensor)
        both = formats.module(fmt).spread(raw), formats.step(fmt, raw)
        spread, step = (self._rows(part.reshape(self.info[ref.tensor].shape), ref) for part in both)
        return spread, step
