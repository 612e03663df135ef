"""mxfp4 in NumPy: 32 elements in 17 bytes, E2M1 codes times a power of two. Layout: mxfp4.h."""

import numpy as np
from cutaway.kernels.formats.bits import F, blockwise, halves, nearest, put_halves
from cutaway.kernels.formats.search import from_halves, half_steps

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "mxfp4", 32, 17, 39

# Twice the E2M1 values, to go with half the scale; -0, code 8, is +0 here.
TABLE = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], F)

SIZES = from_halves(TABLE[:8])


def scale(e):
    """2^(e - 128), half of what E8M0 stands for, subnormal for 0 and 1. 255 is no NaN here: see mxfp4.h."""
    return np.ldexp(F(1), e.astype(np.int32) - 128)


@blockwise(BLOCK_BYTES, BLOCK)
def unpack(b):  # uint8 [blocks, 17] -> float32 [blocks, 32]
    return TABLE[halves(b[:, 1:17])] * scale(b[:, :1])


@blockwise(BLOCK, BLOCK_BYTES)
def pack(x):  # float32 [blocks, 32] -> uint8 [blocks, 17]
    """e from the largest magnitude, then the nearest code, the lowest of equals: the bytes of gguf's quantiser.

    Differs where the largest magnitude is below 2^-125: gguf wraps e around to 255 and below, this stays at 0.
    """
    largest = np.abs(x).max(1, keepdims=True)
    e = np.where(largest > 0, np.clip(np.floor(np.log2(largest)) - 2 + 127, 0, 254), 0).astype(np.uint8)
    return store(e, nearest(x, (TABLE * scale(e))[:, None, :]))


@blockwise(BLOCK, BLOCK_BYTES)
def search(x):  # float32 [blocks, 32] -> uint8 [blocks, 17]
    """As pack, with the exponent of the smallest squared error among pack's and its neighbours."""
    largest = np.abs(x).max(1, keepdims=True)
    first = np.where(largest > 0, np.frexp(largest)[1] - 1 - 2 + 127, 0)
    best_error, e, codes = np.full(first.shape, np.inf, F), np.zeros_like(first), np.zeros(x.shape, np.uint8)
    for step in (0, 1, -1):
        one = np.clip(first + step, 0, 252)  # from 253 on, products overflow
        y = np.ldexp(x, 128 - one)
        size = SIZES[half_steps(np.abs(y), 0, 12)]  # the lower one of equals
        code = size + 8 * ((y < 0) & (size > 0)).astype(np.uint8)
        off = np.ldexp(TABLE[code] - y, one - first)
        error = np.einsum("bi,bi->b", off, off)[:, None]
        better = error < best_error
        best_error, e = np.where(better, error, best_error), np.where(better, one, e)
        np.copyto(codes, code, where=better)
    return store(e.astype(np.uint8), codes)


def store(e, codes):
    return np.concatenate([e, put_halves(codes)], axis=1)


def spread(raw):
    return np.abs(unpack(raw))


@blockwise(BLOCK_BYTES, BLOCK)
def step(b):
    return np.repeat(scale(b[:, :1]), BLOCK, axis=1)
