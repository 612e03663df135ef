"""What the K formats share in NumPy: the packed 6-bit scales of q4_k and q5_k, and two simple quantisers.

ggml's own quantisers search scales that minimise a weighted error, so their bytes differ and their error is a little
smaller; these take the range of a group as it is. For test files and for writing a model without another program.
"""

import numpy as np
from cutaway.kernels.formats.bits import F, inverse, signed_largest


def k_scales(s):
    """uint8 [blocks, 12] of q4_k and q5_k to scales and minimums, each float32 [blocks, 8] of 0..63."""
    low, middle, high = s[:, 0:4], s[:, 4:8], s[:, 8:12]
    scales = np.concatenate([low & 63, (high & 15) | low >> 6 << 4], axis=1)
    minimums = np.concatenate([middle & 63, high >> 4 | middle >> 6 << 4], axis=1)
    return scales.astype(F), minimums.astype(F)


def put_k_scales(scales, minimums):
    """Numbers of 0..63, uint8 [blocks, 8] twice, to uint8 [blocks, 12]."""
    low = scales[:, :4] | scales[:, 4:] >> 4 << 6
    middle = minimums[:, :4] | minimums[:, 4:] >> 4 << 6
    high = (scales[:, 4:] & 15) | (minimums[:, 4:] & 15) << 4
    return np.concatenate([low, middle, high], axis=1)


def with_minimums(x, top_code, top_scale):
    """Codes 0..top_code, scales and minimums 0..top_scale for x [blocks, groups, elements].

    Returns d and dmin [blocks, 1], scales and minimums uint8 [blocks, groups], codes uint8 like x. A group spans from
    its smallest value to its largest, 0 included; codes are chosen with d, dmin and scales as stored.
    """
    low = np.minimum(x.min(-1), 0)
    step = (x.max(-1).clip(0) - low) / F(top_code)  # [blocks, groups]
    d, dmin = (as_stored(part.max(-1, keepdims=True) / F(top_scale)) for part in (step, -low))
    scales = np.rint(step * inverse(d)).clip(0, top_scale)
    minimums = np.rint(-low * inverse(dmin)).clip(0, top_scale)
    used, lift = d * scales, dmin * minimums
    codes = np.rint((x + lift[..., None]) * inverse(used)[..., None]).clip(0, top_code)
    return d, dmin, scales.astype(np.uint8), minimums.astype(np.uint8), codes.astype(np.uint8)


def without_minimums(x, low_code, top_scale):
    """Signed codes low_code..-low_code - 1 and signed scales of at most top_scale for x [blocks, groups, elements].

    Returns d [blocks, 1], scales int8 [blocks, groups], codes int8 like x. The value of largest magnitude in a group
    becomes low_code, as near as the rounded scale allows.
    """
    step = signed_largest(x)[..., 0] / F(low_code)  # [blocks, groups]
    d = as_stored(np.abs(step).max(-1, keepdims=True) / F(top_scale))
    scales = np.rint(step * inverse(d)).clip(-top_scale, top_scale)
    used = d * scales
    codes = np.rint(x * inverse(used)[..., None]).clip(low_code, -low_code - 1)
    return d, scales.astype(np.int8), codes.astype(np.int8)


def as_stored(d):
    """float32 to the nearest float16, as float32: what a reader of the file will multiply with."""
    return d.astype(np.float16).astype(F)
