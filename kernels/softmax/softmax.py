"""softmax in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

# The worst is a row of equal elements below its largest, 17 to 5000 tried: its sums all round one way.
UNITS = 6  # worst seen 4.29, 441 such elements; without such rows 1.83; the same on every CPU target


def reference(x, sinks=None):  # [..., H, S], [H] or none -> [..., H, S]
    """exp of each row over its sum, the row's maximum taken off first; -inf becomes exactly 0.

    A head's sink counts in the maximum and the sum as one more element, which is not returned.  arXiv:2508.10925."""
    return shares(x, sinks)[0]


def magnitude(x, sinks=None):
    """The result's size, times what exp makes of one rounding of x - max, in this element and in the row's sum."""
    p, distance, of_sink, sink_distance = shares(x, sinks)
    return p * (1 + distance + (p * distance).sum(axis=-1, keepdims=True) + of_sink * sink_distance)


def shares(x, sinks):  # [..., H, S] twice, [..., H, 1] twice
    """The pattern; each element's distance to its row's maximum, 0 where it has no share; the same of the sink."""
    x = x.astype(np.float64)
    sink = np.float64(-np.inf) if sinks is None else np.asarray(sinks, np.float64)[:, None]
    most = np.maximum(x.max(axis=-1, keepdims=True), sink)
    e, of_sink = np.exp(x - most), np.exp(sink - most)
    total = e.sum(axis=-1, keepdims=True) + of_sink
    distance, sink_distance = np.where(e > 0, most - x, 0), np.where(of_sink > 0, most - sink, 0)
    return e / total, distance, of_sink / total, sink_distance


def cost(x, sinks=None):  # bytes moved, operations done
    return 8 * x.size, 20 * x.size
