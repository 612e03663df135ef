"""q4_0 in NumPy: 32 elements in 18 bytes, (code - 8) * d. Layout: q4_0.h."""

import numpy as np
from cutaway.kernels.formats.bits import F, blockwise, half, halves, inverse, put_half, put_halves, signed_largest
from cutaway.kernels.formats.k_quants import as_stored
from cutaway.kernels.formats.search import rounded, symmetric

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "q4_0", 32, 18, 2


@blockwise(BLOCK_BYTES, BLOCK)
def unpack(b):  # uint8 [blocks, 18] -> float32 [blocks, 32]
    return (halves(b[:, 2:18]).astype(F) - 8) * half(b, 0)


@blockwise(BLOCK, BLOCK_BYTES)
def pack(x):  # float32 [blocks, 32] -> uint8 [blocks, 18]
    """The value of largest magnitude becomes code 0, that is -8 d: the bytes of gguf's quantiser."""
    d = signed_largest(x) / F(-8)
    return store(d, np.minimum(15, np.trunc(x * inverse(d) + F(8.5))).astype(np.uint8))


@blockwise(BLOCK, BLOCK_BYTES)
def search(x):  # float32 [blocks, 32] -> uint8 [blocks, 18]
    """As pack, with the scale of the smallest squared error (search.py) in place of the largest value's."""
    d = as_stored(symmetric(x, -8, 7))
    return store(d, (rounded(x, inverse(d), -8, 7) + F(8)).astype(np.uint8))


def store(d, codes):
    return np.concatenate([put_half(d), put_halves(codes)], axis=1)


def spread(raw):
    return np.abs(unpack(raw))
