"""softcap in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 8


def reference(x, cap):  # [...] -> [...]
    """cap tanh(x / cap), cap as a float32.  Gemma Team 2024, arXiv:2408.00118, sec. 2."""
    cap = np.float64(np.float32(cap))
    return cap * np.tanh(x.astype(np.float64) / cap)


def magnitude(x, cap):
    return np.abs(reference(x, cap))


def cost(x, cap):  # bytes moved, operations done
    return 8 * x.size, 30 * x.size
