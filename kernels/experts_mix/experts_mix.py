"""experts_mix in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 8  # worst seen 2.57, every CPU target, widths to 1536


def reference(x, w):  # [T, A, D], [T, A] -> [T, D]
    """The chosen experts' outputs, weighted and added.  Shazeer et al. 2017, arXiv:1701.06538, eq. 1."""
    return np.einsum("tad,ta->td", x.astype(np.float64), w.astype(np.float64))


def magnitude(x, w):  # of a sum: that of its absolute terms
    return reference(np.abs(x), np.abs(w))


def cost(x, w):  # bytes moved, operations done
    return 4 * (x.size + x.size // x.shape[1]), 2 * x.size
