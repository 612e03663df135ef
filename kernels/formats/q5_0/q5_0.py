"""q5_0 in NumPy: 32 elements in 22 bytes, (code - 16) * d. Layout: q5_0.h."""

import numpy as np
from cutaway.kernels.formats.bits import F, blockwise, half, halves, inverse, put_half, put_halves, signed_largest
from cutaway.kernels.formats.k_quants import as_stored
from cutaway.kernels.formats.search import rounded, symmetric

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "q5_0", 32, 22, 6


@blockwise(BLOCK_BYTES, BLOCK)
def unpack(b):  # uint8 [blocks, 22] -> float32 [blocks, 32]
    fifth = np.unpackbits(b[:, 2:6], axis=1, bitorder="little")
    return ((halves(b[:, 6:22]) | fifth << 4).astype(F) - 16) * half(b, 0)


@blockwise(BLOCK, BLOCK_BYTES)
def pack(x):  # float32 [blocks, 32] -> uint8 [blocks, 22]
    """The value of largest magnitude becomes code 0, that is -16 d: the bytes of gguf's quantiser."""
    d = signed_largest(x) / F(-16)
    return store(d, np.minimum(31, np.trunc(x * inverse(d) + F(16.5))).astype(np.uint8))


@blockwise(BLOCK, BLOCK_BYTES)
def search(x):  # float32 [blocks, 32] -> uint8 [blocks, 22]
    """As pack, with the scale of the smallest squared error (search.py) in place of the largest value's."""
    d = as_stored(symmetric(x, -16, 15))
    return store(d, (rounded(x, inverse(d), -16, 15) + F(16)).astype(np.uint8))


def store(d, codes):
    fifth = np.packbits(codes >> 4, axis=1, bitorder="little")
    return np.concatenate([put_half(d), fifth, put_halves(codes & 15)], axis=1)


def spread(raw):
    return np.abs(unpack(raw))
