"""rope in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 5  # worst seen 2.09, every CPU target, positions to 131071


def reference(x, positions, frequencies, attention_factor=1.0):  # [T, H, E], [T], [r/2] -> [T, H, E]
    """Turn each pair (x[i], x[i + r/2]) by positions[t] * frequencies[i].  Su et al. 2021, arXiv:2104.09864."""
    angle = (np.multiply.outer(positions, frequencies))[:, None, :]  # [T, 1, r/2]
    c, s = attention_factor * np.cos(angle), attention_factor * np.sin(angle)
    a, b, rest = _parts(x.astype(np.float64), len(frequencies))
    return np.concatenate([a * c - b * s, a * s + b * c, rest], axis=-1)


def magnitude(x, positions, frequencies, attention_factor=1.0):  # of the pair: a turn mixes both
    a, b, rest = _parts(np.abs(x.astype(np.float64)), len(frequencies))
    pair = abs(attention_factor) * (a + b)
    return np.concatenate([pair, pair, rest], axis=-1)


def _parts(x, half):
    return x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]


def cost(x, positions, frequencies, attention_factor=1.0):  # bytes moved, operations done
    return 8 * x.size, 6 * x.shape[0] * x.shape[1] * len(frequencies)
