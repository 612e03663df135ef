"""rms_scale in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 5  # worst seen 1.57, every CPU target, adversarial rows, widths to 1536


def reference(x, eps=1e-6):  # [T, D] -> [T, 1]
    """The divisor of rms_norm: root mean square of each row.  Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4."""
    x = x.astype(np.float64)
    return np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)


def magnitude(x, eps=1e-6):  # all terms are positive, so the result's own size
    return reference(x, eps)


def cost(x, eps=1e-6):  # bytes moved, operations done
    return 4 * x.size + 4 * (x.size // x.shape[-1]), 2 * x.size
