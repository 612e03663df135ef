"""What the NumPy formats share: rows to blocks and back, float16 fields, nibbles. One block is one row of `b`."""

from functools import wraps

import numpy as np

F = np.float32


def blockwise(size, out_size):
    """Lets f: [blocks, size] -> [blocks, out_size] take whole rows: [rows, k * size] -> [rows, k * out_size]."""

    def decorate(f):
        @wraps(f)
        def of_rows(rows):
            blocks = np.ascontiguousarray(rows).reshape(-1, size)
            with np.errstate(all="ignore"):  # NaN and infinite scales are values like any other
                out = f(blocks)
            return out.reshape(*rows.shape[:-1], rows.shape[-1] // size * out_size)

        return of_rows

    return decorate


def half(b, at):
    """The float16 at byte `at` of every block: float32 [blocks, 1]."""
    return np.ascontiguousarray(b[:, at : at + 2]).view("<f2").astype(F)


def put_half(x):
    """float32 [blocks, 1] to the bytes of its float16: uint8 [blocks, 2]; beyond 65504 becomes infinity."""
    return x.astype("<f2").view(np.uint8)


def halves(qs):
    """uint8 [blocks, m] to 4-bit codes [blocks, 2m]: all the low nibbles, then all the high ones."""
    return np.concatenate([qs & 15, qs >> 4], axis=1)


def put_halves(codes):
    """4-bit codes [blocks, 2m] to uint8 [blocks, m]: code j in the low nibble of byte j, code j + m in the high one."""
    m = codes.shape[1] // 2
    return (codes[:, :m] | codes[:, m:] << 4).astype(np.uint8)


def inverse(d):
    """1 / d, and 0 where d is 0."""
    return np.where(d == 0, F(0), F(1) / d).astype(F)


def signed_largest(x):
    """Of every row the value of largest magnitude, with its sign; the first one of equals: [..., 1]."""
    return np.take_along_axis(x, np.abs(x).argmax(-1, keepdims=True), -1)


def nearest(x, values):
    """Index of the value nearest to x, the lowest index of equals. x [...], values broadcast to [..., number]."""
    return np.abs(values - x[..., None]).argmin(-1).astype(np.uint8)
