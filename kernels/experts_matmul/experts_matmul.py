"""experts_matmul in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np
from cutaway.kernels.matmul import matmul

UNITS = 24  # as matmul, whose products these are; worst seen here 4.09


def reference(x, indices, w, bias=None):  # [T, K] or [T, A, K], [T, A], [X, N, K], [X, N] -> [T, A, N]
    """y[t, a] = w[i] x + bias[i], i = indices[t, a], x the token's row or its row for this expert."""
    return _each(x, indices, w, bias, matmul.reference)


def magnitude(x, indices, w, bias=None, spread=None):
    """As matmul's."""
    if spread is None:
        return _each(x, indices, w, bias, matmul.magnitude)
    return _each(x, indices, spread, bias, lambda rows, of, b: matmul.magnitude(rows, of, b, spread=of))


def _each(x, indices, w, bias, product):
    T, A = indices.shape
    w = np.asarray(w)
    width = w.shape[2] // (32 if x.dtype == matmul.quantize_q8.BLOCK else 1)
    rows = x.reshape(T, -1, width)
    rows = np.broadcast_to(rows, (T, A, width)) if rows.shape[1] == 1 else rows
    out = np.empty((T, A, w.shape[1]))
    for expert in np.unique(indices):
        mine = indices == expert
        out[mine] = product(rows[mine], w[expert], None if bias is None else bias[expert])
    return out


def cost(x, indices, w, bias=None):  # bytes moved, operations done
    used = len(np.unique(indices))
    return 4 * used * w.shape[1] * w.shape[2] + 4 * indices.size * (w.shape[1] + w.shape[2]), 2 * indices.size * (
        w.shape[1] * w.shape[2]
    )
