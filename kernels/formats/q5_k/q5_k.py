"""q5_k in NumPy: 256 elements in 176 bytes, (d * sc) * code - dmin * mn. Layout: q5_k.h."""

import numpy as np
from cutaway.kernels.formats.bits import F, blockwise, half, put_half
from cutaway.kernels.formats.k_quants import k_scales, put_k_scales, with_minimums
from cutaway.kernels.formats.search import k_affine

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "q5_k", 256, 176, 13


def terms(b):  # the product [blocks, 8, 32] and the minimum [blocks, 8, 1] that an element is the difference of
    scales, minimums = k_scales(b[:, 4:16])
    qs = b[:, 48:176].reshape(-1, 4, 32)
    low = np.stack([qs & 15, qs >> 4], axis=2).reshape(-1, 8, 32)
    fifth = b[:, None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None] & 1  # bit j of qh[l], group j
    return (half(b, 0) * scales)[..., None] * (low | fifth << 4).astype(F), (half(b, 2) * minimums)[..., None]


@blockwise(BLOCK_BYTES, BLOCK)
def unpack(b):  # uint8 [blocks, 176] -> float32 [blocks, 8, 32]
    product, minimum = terms(b)
    return product - minimum


@blockwise(BLOCK, BLOCK_BYTES)
def pack(x):  # float32 [blocks, 256] -> uint8 [blocks, 176]
    """Simple: the range of each group of 32 as it is, where ggml searches for a better one (k_quants.py)."""
    return store(*with_minimums(x.reshape(-1, 8, 32), top_code=31, top_scale=63))


@blockwise(BLOCK, BLOCK_BYTES)
def search(x):  # float32 [blocks, 256] -> uint8 [blocks, 176]
    """As pack, with searched scales (search.py)."""
    return store(*k_affine(x.reshape(-1, 8, 32), 31, 63))


def store(d, dmin, scales, minimums, codes):
    pairs = (codes & 15).reshape(-1, 4, 2, 32)
    qs = (pairs[:, :, 0] | pairs[:, :, 1] << 4).reshape(-1, 128)
    qh = np.packbits(codes >> 4, axis=1, bitorder="little").reshape(-1, 32)
    return np.concatenate([put_half(d), put_half(dmin), put_k_scales(scales, minimums), qh, qs], axis=1)


@blockwise(BLOCK_BYTES, BLOCK)
def spread(b):
    product, minimum = terms(b)
    return np.abs(product) + np.abs(minimum)
