"""softmax in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 6  # worst seen 1.83, every CPU target, adversarial rows, widths to 4096


def reference(x):  # [..., S] -> [..., S]
    """exp of each row over its sum, the row's maximum taken off first; -inf becomes exactly 0."""
    x = x.astype(np.float64)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def magnitude(x):
    """The result's size, times what exp makes of one rounding of x - max, in this element and in the row's sum."""
    p = reference(x)
    distance = x.max(axis=-1, keepdims=True).astype(np.float64) - x.astype(np.float64)
    distance = np.where(p > 0, distance, 0)  # a masked element has no error
    return p * (1 + distance + (p * distance).sum(axis=-1, keepdims=True))


def cost(x):  # bytes moved, operations done
    return 8 * x.size, 20 * x.size
