"""Scales by search: what the formats' `search` functions share. Least squares over groups [.., n].

ggml's quantisers (make_qx_quants, make_qkx2_quants) try a range of steps, round the group at each, and take the scale
that least squares gives for those codes. So do these, with three differences that cost little: every value's error
counts the same (ggml weighs it by the value's size), where there are minimums two more rounds start from the best
codes so far (0.5 % less error; without minimums they gain 0.1 %), and the scales of scales are fitted to what each
group loses by them, not to the largest only.
"""

import numpy as np
from cutaway.kernels.formats.bits import F, inverse, signed_largest
from cutaway.kernels.formats.k_quants import as_stored

STEPS = np.arange(-9, 10, dtype=F) / F(10)  # by how many codes the largest magnitude may miss the last one
TABLE_STEPS = np.arange(-7, 8, dtype=F)  # the same for iq4's codes, which are about ten times as large


def total(a, b):
    """Sums of a * b over the last axis, kept: [.., 1]."""
    return np.einsum("...i,...i->...", a, b)[..., None]


def rounded(x, inverse_scale, low, high):
    """Codes of x, as floats: its nearest multiple of the scale, within low..high."""
    q = x * inverse_scale
    np.rint(q, out=q)
    return np.clip(q, low, high, out=q)


def from_table(table):
    """As `rounded`, for codes that stand for the integers of an ascending table: the nearest of them."""
    nearest = table[from_halves(table)]

    def values(x, inverse_scale, low, high):
        return nearest[half_steps(x * inverse_scale, low, high)]

    return values


def from_halves(table):
    """The code nearest to each multiple of 1/2 from table[0] to table[-1], the lower one of equals: what lies between
    two of them has that of the upper one, because codes change in the middle between two integers."""
    halves = np.arange(2 * table[0], 2 * table[-1] + 1) / 2
    return np.searchsorted((table[1:] + table[:-1]) / 2, halves).astype(np.uint8)


def half_steps(x, low, high):
    """The index of x in from_halves."""
    return (np.ceil(x * F(2)).clip(2 * low, 2 * high) - F(2 * low)).astype(np.intp)


def symmetric(x, low, high, weights=None, steps=STEPS, integers=rounded):
    """The scale s [.., 1] with the smallest sum of weights * (x - s * q)^2, q in low..high; may be negative.

    x [.., n]. The value of largest magnitude is tried near `low`, and near `high` where that is another size.
    integers(x, 1 / s, low, high) gives q."""
    best_gain, best = np.full((*x.shape[:-1], 1), F(-1)), np.zeros((*x.shape[:-1], 1), F)
    top = signed_largest(x)
    weighted = x if weights is None else x * weights
    ends = [low] if low == -high else [low, high]

    def consider(scale):
        q = integers(x, inverse(scale), low, high)
        qx, qq = total(weighted, q), total(q if weights is None else q * weights, q)
        fitted = qx * inverse(qq)
        gain = fitted * qx  # what the codes take away from the sum of squares
        better = gain > best_gain
        np.copyto(best_gain, gain, where=better)
        np.copyto(best, fitted, where=better)

    with np.errstate(over="ignore", invalid="ignore"):
        for end in ends:
            for step in steps:
                consider(top / F(end + step))
    return best


def affine(x, high, steps=21, signed=False):
    """Scale and minimum ([.., 1] each) with the smallest sum of (x - (s * code + m))^2, code in 0..high.

    m is at most 0, as the K formats store it, or any number where signed."""
    low, top = x.min(-1, keepdims=True), x.max(-1, keepdims=True)
    if not signed:
        low, top = np.minimum(low, F(0)), np.maximum(top, F(0))
    n, sx, sxx = F(x.shape[-1]), x.sum(-1, keepdims=True), total(x, x)
    best_error, best_s, best_m = np.full(low.shape, F(np.inf)), np.zeros_like(low), np.zeros_like(low)

    def consider(scale, minimum):
        q = rounded(x - minimum, inverse(scale), 0, high)
        sq, sqq, sqx = q.sum(-1, keepdims=True), total(q, q), total(x, q)
        det = n * sqq - sq * sq
        s, m = (n * sqx - sx * sq) * inverse(det), (sqq * sx - sq * sqx) * inverse(det)
        if not signed:
            s, m = np.where(m > 0, sqx * inverse(sqq), s), np.minimum(m, F(0))
        flat = det <= 0  # one code for all: it is the scale's, or where that is better the minimum's
        alone = flat if signed else flat & (sx < 0)
        s = np.where(alone, F(0), np.where(flat, sqx * inverse(sqq), s))
        m = np.where(alone, sx / n, np.where(flat, F(0), m))
        error = sxx - 2 * (s * sqx + m * sx) + s * s * sqq + 2 * s * m * sq + m * m * n
        better = (error < best_error) & (s >= 0)
        np.copyto(best_error, error, where=better)
        np.copyto(best_s, s, where=better)
        np.copyto(best_m, m, where=better)

    with np.errstate(over="ignore", invalid="ignore"):
        for step in np.linspace(-1, 1, steps, dtype=F):
            consider((top - low) / F(high + step), low)
        for _ in range(2):
            consider(best_s.copy(), best_m.copy())
    return best_s, best_m


def positive(values, high, weights):
    """d [.., 1], as float16 holds it, for values >= 0 as d * (0..high): the smallest weighted error."""
    d = as_stored(values.max(-1, keepdims=True) / F(high))
    best_error, best = np.full(d.shape, F(np.inf)), d
    for step in np.arange(-7, 8) / F(7):
        one = as_stored(values.max(-1, keepdims=True) / F(high + step))
        q = rounded(values, inverse(one), 0, high)
        off = values - one * q
        error = total(off * weights, off)
        best = np.where(error < best_error, one, best)
        best_error = np.minimum(error, best_error)
    return best


def k_affine(x, high, top_scale):
    """As k_quants.with_minimums, with scales searched: d, dmin, scales, minimums, codes for x [blocks, groups, n]."""
    s, m = affine(x, high)
    s, lift = s[..., 0], -m[..., 0]
    q = rounded(x - m, inverse(s)[..., None], 0, high)
    d = positive(s, top_scale, total(q, q)[..., 0])
    dmin = positive(lift, top_scale, np.ones_like(lift))
    scale, minimum = rounded(s, inverse(d), 0, top_scale), rounded(lift, inverse(dmin), 0, top_scale)
    # Each group's pair of integers once more, against the values themselves.
    best_error = np.full((*s.shape, 1), F(np.inf))
    best_scale, best_minimum = scale.copy(), minimum.copy()
    for up in (0, -1, 1):
        sc = (scale + F(up)).clip(0, top_scale)
        q = rounded(x + (dmin * minimum)[..., None], inverse(d * sc)[..., None], 0, high)
        fit = ((d * sc)[..., None] * q - x).mean(-1)  # the lift that suits these codes
        centre = rounded(fit, inverse(dmin), 0, top_scale)
        for also in (0, -1, 1) if up == 0 else (0,):
            mn = (centre + F(also)).clip(0, top_scale)
            used, up_by = (d * sc)[..., None], (dmin * mn)[..., None]
            q = rounded(x + up_by, inverse(used), 0, high)
            off = used * q - up_by - x
            error = total(off, off)
            better = (error < best_error)[..., 0]
            np.copyto(best_scale, sc, where=better)
            np.copyto(best_minimum, mn, where=better)
            np.copyto(best_error, error, where=better[..., None])
    codes = rounded(x + (dmin * best_minimum)[..., None], inverse(d * best_scale)[..., None], 0, high)
    return d, dmin, best_scale.astype(np.uint8), best_minimum.astype(np.uint8), codes.astype(np.uint8)


def k_symmetric(x, low, high, low_scale, steps=STEPS, integers=rounded):
    """As k_quants.without_minimums, with scales searched: d, scales, q for x [blocks, groups, n]. Scales are
    low_scale..-low_scale - 1."""
    s = symmetric(x, low, high, steps=steps, integers=integers)[..., 0]
    q = integers(x, inverse(s)[..., None], low, high)
    d = as_stored(symmetric(s, low_scale, -low_scale - 1, total(q, q)[..., 0]))
    scale = rounded(s, inverse(d), low_scale, -low_scale - 1)
    best_error, best = np.full((*s.shape, 1), F(np.inf)), scale
    for up in (0, -1, 1):
        sc = (scale + F(up)).clip(low_scale, -low_scale - 1)
        used = (d * sc)[..., None]
        q = integers(x, inverse(used), low, high)
        off = used * q - x
        error = total(off, off)
        better = error < best_error
        best = np.where(better[..., 0], sc, best)
        best_error = np.where(better, error, best_error)
    return d, best.astype(np.int8), integers(x, inverse(d * best)[..., None], low, high)
