"""q4_1 in NumPy: 32 elements in 20 bytes, code * d + m. Layout: q4_1.h."""

import numpy as np
from cutaway.kernels.formats.bits import F, blockwise, half, halves, inverse, put_half, put_halves
from cutaway.kernels.formats.k_quants import as_stored
from cutaway.kernels.formats.search import affine, rounded

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "q4_1", 32, 20, 3


def terms(b):  # the product and the minimum that an element is the sum of
    return halves(b[:, 4:20]).astype(F) * half(b, 0), half(b, 2)


@blockwise(BLOCK_BYTES, BLOCK)
def unpack(b):  # uint8 [blocks, 20] -> float32 [blocks, 32]
    product, minimum = terms(b)
    return product + minimum


@blockwise(BLOCK, BLOCK_BYTES)
def pack(x):  # float32 [blocks, 32] -> uint8 [blocks, 20]
    """Code 0 is the smallest value, code 15 the largest: the bytes of gguf's quantiser."""
    low = x.min(1, keepdims=True)
    d = (x.max(1, keepdims=True) - low) / F(15)
    return store(d, low, np.minimum(15, np.trunc((x - low) * inverse(d) + F(0.5))).astype(np.uint8))


@blockwise(BLOCK, BLOCK_BYTES)
def search(x):  # float32 [blocks, 32] -> uint8 [blocks, 20]
    """As pack, with the scale and the minimum of the smallest squared error (search.py)."""
    d, low = map(as_stored, affine(x, 15, signed=True))
    return store(d, low, rounded(x - low, inverse(d), 0, 15).astype(np.uint8))


def store(d, low, codes):
    return np.concatenate([put_half(d), put_half(low), put_halves(codes)], axis=1)


@blockwise(BLOCK_BYTES, BLOCK)
def spread(b):
    product, minimum = terms(b)
    return np.abs(product) + np.abs(minimum)
