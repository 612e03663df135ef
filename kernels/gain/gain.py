"""gain in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 4  # worst seen 1.85, every CPU target, adversarial rows, widths to 1536


def reference(x, w, bias=None):  # [T, D], [D], [D] -> [T, D]
    """One weight, and where the model has it one bias, for each channel."""
    product = x.astype(np.float64) * w
    return product if bias is None else product + bias


def magnitude(x, w, bias=None):  # of the product, which is rounded before the bias is added, and of the bias
    product = np.abs(x.astype(np.float64) * w)
    return product if bias is None else product + np.abs(bias)


def cost(x, w, bias=None):  # bytes moved, operations done
    return 8 * x.size + 4 * w.size * (1 if bias is None else 2), x.size * (1 if bias is None else 2)
