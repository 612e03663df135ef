"""layer_normalize in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 6  # worst seen 2.42, every CPU target, adversarial rows, widths to 1536


def reference(x, scale):  # [T, D], [T, 1] -> [T, D]
    """Each row less its mean, over its standard deviation.  Ba et al. 2016, arXiv:1607.06450, eq. 4."""
    x = x.astype(np.float64)
    return (x - x.mean(axis=-1, keepdims=True)) / scale.astype(np.float64)


def magnitude(x, scale):
    """The result's size; and the rounding of the mean, which counts where the offset is large and the spread small."""
    x = x.astype(np.float64)
    mean_size = np.abs(x).mean(axis=-1, keepdims=True) + 2.0**-125  # below it float32's steps grow no finer
    return (np.abs(x - x.mean(axis=-1, keepdims=True)) + mean_size) / scale


def cost(x, scale):  # bytes moved, operations done
    return 8 * x.size + 4 * scale.size, 3 * x.size
