"""silu_mul in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 8  # worst seen 2.91, every CPU target, every 65537th float32 and adversarial rows


def reference(pre, pre_linear):  # [...], [...] -> [...]
    """SiLU of the gate times the linear half.  Shazeer 2020, arXiv:2002.05202, eq. 6."""
    pre, pre_linear = pre.astype(np.float64), pre_linear.astype(np.float64)
    return pre / (1 + np.exp(-pre)) * pre_linear


def magnitude(pre, pre_linear):
    """The result's size; and, before it is multiplied by pre_linear, the size at which exp(-pre) overflows."""
    size = np.abs(pre.astype(np.float64))
    return np.abs(reference(pre, pre_linear)) + size * np.abs(pre_linear.astype(np.float64)) * 2.0**-104


def cost(pre, pre_linear):  # bytes moved, operations done
    return 12 * pre.size, 18 * pre.size
