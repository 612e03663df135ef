"""scale in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 1  # one rounding


def reference(x, factor):  # [...] -> [...]
    """factor x, the factor as a float32."""
    return x.astype(np.float64) * np.float64(np.float32(factor))


def magnitude(x, factor):
    return np.abs(reference(x, factor))


def cost(x, factor):  # bytes moved, operations done
    return 8 * x.size, x.size
