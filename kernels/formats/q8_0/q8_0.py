"""q8_0 in NumPy: 32 elements in 34 bytes, q * d. Layout: q8_0.h."""

import numpy as np
from cutaway.kernels.formats.bits import F, blockwise, half, inverse, put_half
from cutaway.kernels.formats.k_quants import as_stored
from cutaway.kernels.formats.search import rounded, symmetric

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "q8_0", 32, 34, 8


@blockwise(BLOCK_BYTES, BLOCK)
def unpack(b):  # uint8 [blocks, 34] -> float32 [blocks, 32]
    return b[:, 2:34].view(np.int8).astype(F) * half(b, 0)


@blockwise(BLOCK, BLOCK_BYTES)
def pack(x):  # float32 [blocks, 32] -> uint8 [blocks, 34]
    """d = max |x| / 127, q = x / d rounded, halves away from zero: the bytes of gguf's quantiser."""
    d = np.abs(x).max(1, keepdims=True) / F(127)
    size = np.abs(x * inverse(d))
    whole = np.floor(size)
    q = np.sign(x) * (whole + (size - whole >= 0.5))
    return store(d, q)


@blockwise(BLOCK, BLOCK_BYTES)
def search(x):  # float32 [blocks, 32] -> uint8 [blocks, 34]
    """As pack, with the scale of the smallest squared error (search.py) in place of the largest value's."""
    d = as_stored(symmetric(x, -127, 127))
    return store(d, rounded(x, inverse(d), -127, 127))


def store(d, q):
    return np.concatenate([put_half(d), q.astype(np.int8).view(np.uint8)], axis=1)


def spread(raw):
    return np.abs(unpack(raw))
