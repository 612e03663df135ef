"""attention_scores in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 12  # worst seen 5.21, every CPU target, E to 127


def reference(q, keys, scale, window=0):  # [T, H, E], [S, G, E] -> [T, H, S]
    """scale q.k where query t, at position S - T + t, sees position s; else -inf.  Vaswani et al. 2017, eq. 1."""
    products = _products(q.astype(np.float64), keys.astype(np.float64))
    return np.where(seen(len(q), len(keys), window)[:, None, :], scale * products, -np.inf)


def magnitude(q, keys, scale, window=0):  # of a sum: that of its absolute terms
    return abs(scale) * _products(np.abs(q.astype(np.float64)), np.abs(keys.astype(np.float64)))


def seen(T, S, window=0):  # -> [T, S]
    """Which positions each query sees: none after its own, and with a window that many, its own among them."""
    distance = np.arange(S - T, S)[:, None] - np.arange(S)
    return (distance >= 0) & ((distance < window) if window else True)


def _products(q, keys):
    T, H, E = q.shape
    S, G, _ = keys.shape
    return np.einsum("tghe,sge->tghs", q.reshape(T, G, H // G, E), keys).reshape(T, H, S)


def cost(q, keys, scale, window=0):  # bytes moved, operations done
    pairs = q.shape[1] * int(seen(len(q), len(keys), window).sum())
    return 4 * q.size + keys.nbytes + 4 * q.shape[0] * q.shape[1] * len(keys), 2 * pairs * q.shape[2]
