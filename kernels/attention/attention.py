"""attention in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np
from cutaway.kernels.attention_mix import attention_mix
from cutaway.kernels.attention_scores import attention_scores
from cutaway.kernels.softmax import softmax

UNITS = 40  # worst seen 19.39, every CPU target, 4099 equal values, all rounding one way; without them 5.4


def reference(q, keys, values, sinks=None, *, scale, window=0):  # [T, H, E], [S, G, E] twice, [H]
    """softmax(scale q.k) over the positions that each query sees, times the values.  Vaswani et al. 2017, eq. 1."""
    scores = attention_scores.reference(q, keys, scale, window)
    return attention_mix.reference(softmax.reference(scores, sinks), values)


def magnitude(q, keys, values, sinks=None, *, scale, window=0):
    """What one rounding of each term, and one of each score, does to z.

    An error d[s] of the scores moves z by sum_s p[s] d[s] (v[s] - z), since the pattern stays normalised (a sink is one
    more position, whose value is 0); d[s] is one rounding of scale sum |q k[s]|, the score's magnitude, and one of its
    distance to the maximum, which exp then sees.
    """
    scores = attention_scores.reference(q, keys, scale, window)
    pattern, distance, of_sink, sink_distance = softmax.shares(scores, sinks)
    z = attention_mix.reference(pattern, values)
    weight = pattern * (attention_scores.magnitude(q, keys, scale, window) + distance)  # [T, H, S]
    heads = np.repeat(values.astype(np.float64), q.shape[1] // keys.shape[1], axis=1)  # [S, H, E]
    moved = [
        np.einsum("hs,hse->he", w, np.abs(heads.transpose(1, 0, 2) - y[:, None, :]))
        for w, y in zip(weight, z, strict=True)
    ]
    return attention_mix.magnitude(pattern, values) + np.stack(moved) + of_sink * sink_distance * np.abs(z)


def cost(q, keys, values, sinks=None, *, scale, window=0):  # bytes moved, operations done
    pairs = q.shape[1] * int(attention_scores.seen(len(q), len(keys), window).sum())
    return 8 * q.size + keys.nbytes + values.nbytes, 4 * pairs * q.shape[2]
