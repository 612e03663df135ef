"""expert_weights in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np
from cutaway.kernels.softmax import softmax

UNITS = 6  # worst seen 1.60, every CPU target, logits to 60


def reference(x, indices):  # [T, X], [T, A] -> [T, A]
    """The softmax of the chosen experts' logits.  arXiv:2508.10925, sec. 2.1."""
    return softmax.reference(np.take_along_axis(x, indices, axis=-1))


def magnitude(x, indices):
    return softmax.magnitude(np.take_along_axis(x, indices, axis=-1))


def cost(x, indices):  # bytes moved, operations done
    return 12 * indices.size, 20 * indices.size
