"""q4_k in NumPy: 256 elements in 144 bytes, (d * sc) * code - dmin * mn. Layout: q4_k.h."""

import numpy as np
from cutaway.kernels.formats.bits import F, blockwise, half, put_half
from cutaway.kernels.formats.k_quants import k_scales, put_k_scales, with_minimums
from cutaway.kernels.formats.search import k_affine

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "q4_k", 256, 144, 12


def terms(b):  # the product [blocks, 8, 32] and the minimum [blocks, 8, 1] that an element is the difference of
    scales, minimums = k_scales(b[:, 4:16])
    qs = b[:, 16:144].reshape(-1, 4, 32)
    codes = np.stack([qs & 15, qs >> 4], axis=2).reshape(-1, 8, 32)
    return (half(b, 0) * scales)[..., None] * codes.astype(F), (half(b, 2) * minimums)[..., None]


@blockwise(BLOCK_BYTES, BLOCK)
def unpack(b):  # uint8 [blocks, 144] -> float32 [blocks, 8, 32]
    product, minimum = terms(b)
    return product - minimum


@blockwise(BLOCK, BLOCK_BYTES)
def pack(x):  # float32 [blocks, 256] -> uint8 [blocks, 144]
    """Simple: the range of each group of 32 as it is, where ggml searches for a better one (k_quants.py)."""
    return store(*with_minimums(x.reshape(-1, 8, 32), top_code=15, top_scale=63))


@blockwise(BLOCK, BLOCK_BYTES)
def search(x):  # float32 [blocks, 256] -> uint8 [blocks, 144]
    """As pack, with searched scales (search.py)."""
    return store(*k_affine(x.reshape(-1, 8, 32), 15, 63))


def store(d, dmin, scales, minimums, codes):
    pairs = codes.reshape(-1, 4, 2, 32)
    qs = (pairs[:, :, 0] | pairs[:, :, 1] << 4).reshape(-1, 128)
    return np.concatenate([put_half(d), put_half(dmin), put_k_scales(scales, minimums), qs], axis=1)


@blockwise(BLOCK_BYTES, BLOCK)
def spread(b):
    product, minimum = terms(b)
    return np.abs(product) + np.abs(minimum)
