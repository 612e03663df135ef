"""q2_k in NumPy: 256 elements in 84 bytes, (d * sc) * code - dmin * mn. Layout: q2_k.h."""

import numpy as np
from cutaway.kernels.formats.bits import F, blockwise, half, put_half
from cutaway.kernels.formats.k_quants import with_minimums
from cutaway.kernels.formats.search import k_affine

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "q2_k", 256, 84, 10

QUARTERS = np.arange(0, 8, 2, dtype=np.uint8)[:, None]  # where two bits of the rows t = 0..3 of a half lie


def terms(b):  # the product [blocks, 16, 16] and the minimum [blocks, 16, 1] that an element is the difference of
    scales, minimums = (b[:, :16] & 15).astype(F), (b[:, :16] >> 4).astype(F)
    codes = (b[:, 16:80].reshape(-1, 2, 1, 32) >> QUARTERS & 3).reshape(-1, 16, 16)
    return (half(b, 80) * scales)[..., None] * codes.astype(F), (half(b, 82) * minimums)[..., None]


@blockwise(BLOCK_BYTES, BLOCK)
def unpack(b):  # uint8 [blocks, 84] -> float32 [blocks, 16, 16]
    product, minimum = terms(b)
    return product - minimum


@blockwise(BLOCK, BLOCK_BYTES)
def pack(x):  # float32 [blocks, 256] -> uint8 [blocks, 84]
    """Simple: the range of each group of 16 as it is, where ggml searches for a better one (k_quants.py)."""
    return store(*with_minimums(x.reshape(-1, 16, 16), top_code=3, top_scale=15))


@blockwise(BLOCK, BLOCK_BYTES)
def search(x):  # float32 [blocks, 256] -> uint8 [blocks, 84]
    """As pack, with searched scales (search.py)."""
    return store(*k_affine(x.reshape(-1, 16, 16), 3, 15))


def store(d, dmin, scales, minimums, codes):
    qs = np.bitwise_or.reduce(codes.reshape(-1, 2, 4, 32) << QUARTERS, axis=2).reshape(-1, 64)
    return np.concatenate([scales | minimums << 4, qs, put_half(d), put_half(dmin)], axis=1)


@blockwise(BLOCK_BYTES, BLOCK)
def spread(b):
    product, minimum = terms(b)
    return np.abs(product) + np.abs(minimum)
