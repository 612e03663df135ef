"""layer_scale in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 10  # worst seen 4.44, every CPU target, adversarial rows, widths to 1536


def reference(x, eps=1e-5):  # [T, D] -> [T, 1]
    """The divisor of layer_norm: standard deviation of each row.  Ba et al. 2016, arXiv:1607.06450, eq. 4."""
    x = x.astype(np.float64)
    centred = x - x.mean(axis=-1, keepdims=True)
    return np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + eps)


def magnitude(x, eps=1e-5):
    """The result's size; and the rounding of the mean, which counts where the offset is large and the spread small."""
    return reference(x, eps) + np.abs(x.astype(np.float64)).mean(axis=-1, keepdims=True)


def cost(x, eps=1e-5):  # bytes moved, operations done
    return 4 * x.size + 4 * (x.size // x.shape[-1]), 4 * x.size
