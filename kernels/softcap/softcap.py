"""softcap in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 12  # worst seen 5.21, every CPU target, every 65537th float32 and adversarial rows


def reference(x, cap):  # [...] -> [...]
    """cap tanh(x / cap), cap as a float32.  Gemma Team 2024, arXiv:2408.00118, sec. 2."""
    cap = np.float64(np.float32(cap))
    return cap * np.tanh(x.astype(np.float64) / cap)


def magnitude(x, cap):
    """The result's size; and cap times what is lost where x / cap is subnormal."""
    return np.abs(reference(x, cap)) + cap * 2.0**-128


def cost(x, cap):  # bytes moved, operations done
    return 8 * x.size, 30 * x.size
