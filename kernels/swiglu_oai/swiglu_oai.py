"""swiglu_oai in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 10  # worst seen 3.71, every CPU target, every 65537th float32 and adversarial rows


def reference(pre, pre_linear, alpha=1.702, limit=7.0):  # [...], [...] -> [...]
    """g sigmoid(alpha g) (u + 1), g = min(pre, limit), u = clip(pre_linear, -limit, limit).  arXiv:2508.10925."""
    g, u, alpha = _parts(pre, pre_linear, alpha, limit)
    return g / (1 + np.exp(-alpha * g)) * (u + 1)


def magnitude(pre, pre_linear, alpha=1.702, limit=7.0):
    """The terms' sizes, |u| and 1 apart; what exp makes of one rounding of alpha g; and where it overflows."""
    g, u, alpha = _parts(pre, pre_linear, alpha, limit)
    gate = g / (1 + np.exp(-alpha * g))
    steepness = np.minimum(np.abs(alpha * g) / (1 + np.exp(np.minimum(alpha * g, 700))), 90)
    return (np.abs(gate) * (1 + steepness) + np.abs(g) * 2.0**-104) * (np.abs(u) + 1)


def _parts(pre, pre_linear, alpha, limit):
    limit = np.float64(np.float32(limit))
    g = np.minimum(pre.astype(np.float64), limit)
    return g, np.clip(pre_linear.astype(np.float64), -limit, limit), np.float64(np.float32(alpha))


def cost(pre, pre_linear, alpha=1.702, limit=7.0):  # bytes moved, operations done
    return 12 * pre.size, 21 * pre.size
