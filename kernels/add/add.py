"""add in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 1  # one addition, correctly rounded: at most one unit


def reference(x, y):  # [...], [...] -> [...]
    """The sum of two tensors of one shape, as residual streams are added."""
    return x.astype(np.float64) + y.astype(np.float64)


def magnitude(x, y):  # the sum's own size: one addition is correctly rounded, however much cancels
    return np.abs(reference(x, y))


def cost(x, y):  # bytes moved, operations done
    return 12 * x.size, x.size
