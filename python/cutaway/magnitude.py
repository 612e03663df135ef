"""What the errors of an op's call are measured against, where the op's own `magnitude` does not know enough."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from cutaway import ops
from cutaway.kernels.quantize_q8 import quantize_q8

NORMAL = 2.0**-126  # float32's smallest normal number


def magnitude(
    op: str, reads: Sequence[Any], values: Sequence[Any], attributes: dict[str, float], stored: Sequence[Any]
) -> np.ndarray:
    """Of every element that the call computes. stored: (spread, step) of each weight with codes, by its format.

    Products of codes with rounded activations multiply whole sums of integers with one float32, the product of a
    weight's scale and an activation's, d_w d_x. One rounding of it is 2^-24 of its size, or 2^-150 where it is
    subnormal, however small it is. So such a product counts as the smallest normal number, of which 2^-150 is 2^-24:
    a block's terms |c q| d_w d_x become |c q| max(d_w d_x, 2^-126), and blocks whose product is normal stay as they
    are. What is added up then needs no more: sums of whole multiples of 2^-149 are exact below 2^-125.

    Products with floats are added up 32 at a time, and an addition that ends below 2^-126 is off by up to 2^-150. So on
    the average no 32 of an element's terms count for less than 2^-126, unless all are nothing."""
    definition = ops.definition(op)
    x = reads[0]
    if getattr(x, "dtype", None) != quantize_q8.BLOCK:
        size = definition.magnitude(*reads, *values, **attributes)
        if op in ("matmul", "experts_matmul"):
            size = np.where(size > 0, np.maximum(size, values[0].shape[-1] / 32 * NORMAL), size)
        return size
    if "spread" not in inspect.signature(definition.magnitude).parameters:
        return definition.magnitude(*reads, *values, **attributes)
    spreads, steps = zip(*stored, strict=True)

    def of(reads: Sequence[Any], spreads: Sequence[np.ndarray]) -> np.ndarray:
        return definition.magnitude(*reads, *values, **attributes, spread=spreads if len(spreads) > 1 else spreads[0])

    least = min(np.min(step, where=spread > 0, initial=np.inf) for spread, step in stored)
    if np.min(x["d"], where=x["d"] > 0, initial=np.inf) * least >= NORMAL:
        return of(reads, spreads)
    blocks = spreads[0].shape[-1] // 32
    chosen = reads[1].shape[1] if len(reads) > 1 and x.shape[1] > blocks else 1  # experts that have rows of their own
    rows = x.reshape(len(x), chosen, blocks)
    others = [np.asarray(read).reshape(len(x), chosen, -1) for read in reads[1:]]
    out = []
    for t, a in np.ndindex(rows.shape[:2]):
        d = np.repeat(rows[t, a]["d"].astype(np.float64), 32)
        floor = np.divide(NORMAL, d, where=d > 0, out=np.zeros_like(d))  # of a weight's scale, by column
        raised = [
            spread * np.maximum(1, np.divide(floor, step, where=step > 0, out=np.zeros(step.shape)))
            for spread, step in stored
        ]
        out.append(of([rows[t : t + 1, a], *[other[t : t + 1, a] for other in others]], raised))
    return np.concatenate(out).reshape(*(reads[1].shape if others else (len(x),)), -1)
