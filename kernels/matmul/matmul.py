"""matmul in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np
from cutaway.kernels.quantize_q8 import quantize_q8

UNITS = 24  # worst seen 8.93, SmolLM2 in exact numerics; 4.3 with rounded activations


def floats(x):
    """x as the products see it: [T, K] float64, from floats or from the blocks of quantize_q8."""
    return quantize_q8.dequantize(x) if x.dtype == quantize_q8.BLOCK else x.reshape(len(x), -1).astype(np.float64)


def reference(x, w, bias=None):  # [T, K], [N, K], [N] -> [T, N]
    """x w^T + bias."""
    y = floats(x) @ np.asarray(w, np.float64).T
    return y if bias is None else y + np.asarray(bias, np.float64)


def magnitude(x, w, bias=None, spread=None):
    """Sum of absolute terms.

    With x in blocks a weight's codes and its minimum are multiplied apart, so `spread`, the absolute values of both
    parts added up, takes the place of |w|."""
    terms = np.abs(w if spread is None or x.dtype != quantize_q8.BLOCK else spread).astype(np.float64)
    total = np.abs(floats(x)) @ terms.T
    return total if bias is None else total + np.abs(bias)


def cost(x, w, bias=None):
    T = len(x)
    return 4 * w.size + 4 * T * (w.shape[0] + w.shape[1]), 2 * T * w.size
