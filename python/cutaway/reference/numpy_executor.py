"""The NumPy backend: walks a graph with the ops' float64 references. Slow, and right by definition.

It reads the weights from the file's bytes with the NumPy decoders, and shares no layout code with the kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from cutaway import ops
from cutaway.graph import Graph, Stage, Weight
from cutaway.kernels.quantize_q8 import quantize_q8
from cutaway.magnitude import magnitude
from cutaway.reference.weights import FileWeights

PRODUCTS = ("matmul", "experts_matmul")  # what reads rounded activations in fast numerics


class NumpyExecutor:
    """Runs the stages of a graph, one sequence at a time, in float64.

    exact: activations stay as they are; else they are rounded to 8 bits in front of products with quantised weights, as
    fast numerics means. kv: float16 rounds keys and values as such a cache does. long: the run is longer than the
    context that longrope's short factors are for."""

    def __init__(self, graph: Graph, file: Any, *, exact: bool = True, kv: str = "f32", long: bool = False) -> None:
        self.graph, self.exact, self.kv = graph, exact, kv
        constants = {n: graph.constants.get(f"{n}.long", v) if long else v for n, v in graph.constants.items()}
        self.weights = FileWeights(file, constants)
        self._get = lru_cache(maxsize=16)(lambda key: self.weights.get(_weight(key)))

    def weight(self, ref: Weight) -> np.ndarray:
        return self._get(_key(ref))

    def takes_q8(self, ref: Weight) -> bool:
        """Whether fast numerics rounds what is multiplied with this weight."""
        from cutaway.kernels.formats import format as formats

        return not self.exact and formats.module(self.weights.info[ref.tensor].format).BLOCK > 1

    def call(
        self, op: str, reads: list[np.ndarray], weights: list[Weight], attributes: dict[str, float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The reference of one op on given inputs, and the magnitude that its errors are measured against."""
        definition = ops.definition(op)
        values = [self.weight(w) for w in weights]
        with np.errstate(all="ignore"):
            expected = definition.reference(*reads, *values, **attributes)
            coded = weights if reads[0].dtype == quantize_q8.BLOCK else []
            stored = [self.weights.spread_and_step(w) for w in coded if len(w.shape) == len(weights[0].shape)]
            return expected, magnitude(op, reads, values, attributes, stored)

    def run(
        self, ids: np.ndarray, watch: Callable[[str], bool] = lambda name: True, stop_after: str = ""
    ) -> Iterator[tuple[str, np.ndarray]]:
        """All stages of one sequence from its tokens, in order: (name, float64 array without a batch axis)."""
        values: dict[str, np.ndarray] = {"tokens": np.asarray(ids), "positions": np.arange(len(ids))}
        last = {r: i for i, s in enumerate(self.graph) for r in s.reads}
        for i, stage in enumerate(self.graph):
            reads = [values[r] for r in stage.reads]
            if stage.op in PRODUCTS and self.takes_q8(stage.weights[0]):
                reads[0] = quantize_q8.reference(reads[0].astype(np.float32))
            out = ops.definition(stage.op).reference(
                *reads, *[self.weight(w) for w in stage.weights], **stage.attributes
            )
            out = out.reshape(len(ids), *[n if n > 0 else len(ids) for n in stage.shape[1:]])
            if watch(stage.name):
                yield stage.name, out
            values[stage.name] = out.astype(np.float16) if stage.cache and self.kv == "f16" else out
            for name in [n for n in values if last.get(n, -1) <= i and n not in ("tokens", "positions", stage.name)]:
                del values[name]
            if stage.name == stop_after:
                return


def _key(ref: Weight) -> tuple[Any, ...]:
    return (ref.tensor, tuple(ref.shape), ref.first_row, ref.rows, ref.heads)


def _weight(key: tuple[Any, ...]) -> Weight:
    return Weight(key[0], list(key[1]), *key[2:])


def shape_of(stage: Stage, T: int, S: int) -> list[int]:
    """The stage's shape with its free axes filled in."""
    return [T if n == -1 else S if n == -2 else n for n in stage.shape]
