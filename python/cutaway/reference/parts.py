"""Words that the essays share: a norm, rotary positions and how files stretch them, who sees whom, activations.

All in float64 NumPy, for one sequence from position 0. Axes: T tokens, D model width, H query heads, G key/value heads,
E head width, r how many values of a head turn.
"""

import numpy as np


def rms_norm(x, w, eps):  # [..., D] -> scale [..., 1], normalized [..., D], out [..., D]
    """Divide each row by its root mean square, then the gain.  Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4."""
    scale = np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + eps)
    return scale, x / scale, x / scale * w


def waves(base, r):  # [r/2], radians per position
    """base^(-2j/r).  Su et al. 2021, arXiv:2104.09864, sec. 3.2.2."""
    return base ** (-np.arange(0, r, 2) / r)


def yarn_ramp(base, r, original, fast, slow, whole):  # [r/2], from 0, waves as they are, to 1, waves slowed
    """Peng et al. 2023, arXiv:2309.00071, sec. 3.2: pairs that turn more than `fast` times in the original context are
    kept, those that turn less than `slow` times are slowed, with a ramp between. whole: the corners are rounded."""
    low, high = (r * np.log(original / (2 * np.pi * turns)) / (2 * np.log(base)) for turns in (fast, slow))
    if whole:
        low, high = np.floor(low), np.ceil(high)
    low, high = max(low, 0), min(high, r - 1)
    return np.clip((np.arange(r // 2) - low) / (high - low or 0.001), 0, 1)


def frequencies(key, weights, r, T, whole=True):
    """(radians per position [r/2], factor on cosine and sine): the waves, stretched as the file says.

    Linear: Chen et al. 2023, arXiv:2306.15595. Long: Ding et al. 2024, arXiv:2402.13753, one list of factors up to the
    original context and one for any sequence beyond it. Llama 3.1's factors, in rope_freqs, are 1 for short waves, 8 or
    32 for long ones, with a ramp between.
    """
    base = key("rope.freq_base", 10000.0)
    f = waves(base, r)
    kind, factor = key("rope.scaling.type", "linear"), key("rope.scaling.factor", 0) or 1
    original = key("rope.scaling.original_context_length", key("context_length", None))
    m = key("rope.scaling.attn_factor", 1.0)
    if "rope_freqs.weight" in weights:
        f = f / np.asarray(weights["rope_freqs.weight"], np.float64)
    if "rope_factors_long.weight" in weights:
        reach = "long" if original < T else "short"
        f = f / np.asarray(weights[f"rope_factors_{reach}.weight"], np.float64)
    elif kind == "linear":
        f = f / factor
    elif kind == "yarn":
        fast, slow = key("rope.scaling.yarn_beta_fast", 32.0), key("rope.scaling.yarn_beta_slow", 1.0)
        ramp = yarn_ramp(base, r, original, fast, slow, key("rope.scaling.yarn_truncate", whole))
        f = f * (1 - ramp) + f / factor * ramp
        said = key("rope.scaling.yarn_attn_factor", None)  # as llama.cpp's converter has it; else Peng et al., eq. 22
        m *= 0.1 * np.log(max(factor, 1)) + 1 if said is None else said
    return f, m


def rope(x, f, m=1.0):  # [T, heads, E], [r/2] -> [T, heads, E]
    """Turn the pair (x[j], x[j + r/2]) of the token at position p by p * f[j], and stretch it by m. What lies beyond
    the first r values passes as it is.  Su et al. 2021, eq. 34."""
    angle = np.arange(len(x))[:, None, None] * f
    cos, sin = m * np.cos(angle), m * np.sin(angle)
    u, v, rest = np.split(x, [len(f), 2 * len(f)], axis=-1)
    return np.concatenate([u * cos - v * sin, u * sin + v * cos, rest], axis=-1)


def share(x, H):  # [T, G, E] -> [T, H, E]: query head h reads key/value head h // (H / G)
    return np.repeat(x, H // x.shape[1], axis=1)


def by_head(x):  # [T, H, E] -> [H, T, E], and back
    return x.swapaxes(0, 1)


def visible(T, window=0):  # -> [query, key]
    """A token sees itself and those before it; with a window, that many with itself."""
    distance = np.arange(T)[:, None] - np.arange(T)
    return (distance >= 0) & (distance < (window or T))


def windowed(i, which):
    """Whether layer i has a window: `which` says it of each layer, or is P, and every P-th layer sees all."""
    return bool(which[i]) if np.ndim(which) else i % which < which - 1


def softmax(x):  # over the last axis; -inf gives 0
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    """Hendrycks & Gimpel 2016, arXiv:1606.08415, sec. 2, tanh form."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
