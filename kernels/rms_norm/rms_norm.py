"""rms_norm in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 8  # worst seen 2.83, every CPU target, adversarial rows, widths to 1536


def reference(x, w, eps=1e-6):  # [T, D], [D] -> [T, D]
    """Scale each row to unit root mean square, then by w.  Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4."""
    x = x.astype(np.float64)
    return w * x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)  # mean square is [T, 1]


def magnitude(x, w, eps=1e-6):  # what an error is measured against: the element's own size
    return np.abs(reference(x, w, eps))


def cost(x, w, eps=1e-6):  # bytes moved, operations done
    return 8 * x.size + 4 * w.size, 4 * x.size
