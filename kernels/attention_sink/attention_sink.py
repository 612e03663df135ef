"""attention_sink in NumPy, float64: the definition, its magnitude and its cost."""

from cutaway.kernels.softmax import softmax

# The worst is a row of equal scores below its sink: its sums all round one way.
UNITS = 3  # worst seen 2.38, 50 such scores; without such rows 0.86, sinks 60 above and below; on every CPU target


def reference(scores, sinks):  # [T, H, S], [H] -> [T, H]
    """The share of each head's sink in the softmax of its rows.  arXiv:2508.10925, sec. 2.1."""
    return softmax.shares(scores, sinks)[2][..., 0]


def magnitude(scores, sinks):
    """The share, times what exp makes of one rounding of its own distance and of the others' in the sum."""
    pattern, distance, of_sink, sink_distance = softmax.shares(scores, sinks)
    return (of_sink * (1 + sink_distance + (pattern * distance).sum(axis=-1, keepdims=True)))[..., 0]


def cost(scores, sinks):  # bytes moved, operations done
    return 4 * scores.size, 20 * scores.size
