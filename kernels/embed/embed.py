"""embed in NumPy: rows of a table."""

import numpy as np

UNITS = 0  # exact: the stored values


def reference(ids, w):  # [T] int, [V, D] -> [T, D]
    """Row ids[t] of the table for every t."""
    return np.asarray(w)[np.asarray(ids)].astype(np.float64)


def magnitude(ids, w):
    return np.abs(reference(ids, w))


def cost(ids, w):
    return 8 * ids.size * w.shape[1], 0
