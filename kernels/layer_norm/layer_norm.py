"""layer_norm in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 10  # worst seen 4.95, every CPU target, adversarial rows, widths to 1536


def reference(x, w, bias=None, eps=1e-5):  # [T, D], [D], [D] -> [T, D]
    """Each row less its mean, over its standard deviation, then w, bias.  Ba et al. 2016, arXiv:1607.06450, eq. 4."""
    x = x.astype(np.float64)
    centred = x - x.mean(axis=-1, keepdims=True)
    y = centred / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + eps) * w
    return y if bias is None else y + bias


def magnitude(x, w, bias=None, eps=1e-5):
    """The terms' sizes; and the rounding of the mean, which counts where the offset is large and the spread small."""
    x = x.astype(np.float64)
    mean = x.mean(axis=-1, keepdims=True)
    scale = np.sqrt(np.mean((x - mean) ** 2, axis=-1, keepdims=True) + eps)
    mean_size = np.abs(x).mean(axis=-1, keepdims=True) + 2.0**-125  # below it float32's steps grow no finer
    size = np.abs(w) * (np.abs(x - mean) + mean_size) / scale
    return size if bias is None else size + np.abs(bias)


def cost(x, w, bias=None, eps=1e-5):  # bytes moved, operations done
    return 8 * x.size + 4 * w.size * (1 if bias is None else 2), 8 * x.size
