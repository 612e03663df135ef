"""copy in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 0  # bit for bit


def reference(x):  # [...] -> [...]
    """The same values in a tensor of their own."""
    return x.astype(np.float64)


def magnitude(x):
    return np.abs(x.astype(np.float64))


def cost(x):  # bytes moved, operations done
    return 8 * x.size, 0
