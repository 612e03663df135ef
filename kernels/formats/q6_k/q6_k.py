"""q6_k in NumPy: 256 elements in 210 bytes, (d * sc) * (code - 32). Layout: q6_k.h."""

import numpy as np
from cutaway.kernels.formats.bits import F, blockwise, half, put_half
from cutaway.kernels.formats.k_quants import without_minimums
from cutaway.kernels.formats.search import k_symmetric

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "q6_k", 256, 210, 14

QUARTERS = np.arange(0, 8, 2, dtype=np.uint8)[:, None]  # where two bits of the rows t = 0..3 of a half lie


@blockwise(BLOCK_BYTES, BLOCK)
def unpack(b):  # uint8 [blocks, 210] -> float32 [blocks, 16, 16]
    ql = b[:, :128].reshape(-1, 2, 64)  # a half: rows t = 0, 1 in the low nibbles, t = 2, 3 in the high ones
    low = np.concatenate([ql & 15, ql >> 4], axis=2).reshape(-1, 2, 4, 32)
    high = b[:, 128:192].reshape(-1, 2, 1, 32) >> QUARTERS & 3
    q = (low | high << 4).astype(F).reshape(-1, 16, 16) - 32
    return (half(b, 208) * b[:, 192:208].view(np.int8).astype(F))[..., None] * q


@blockwise(BLOCK, BLOCK_BYTES)
def pack(x):  # float32 [blocks, 256] -> uint8 [blocks, 210]
    """Simple: the largest magnitude of each group of 16 as it is, where ggml searches for a scale (k_quants.py)."""
    return store(*without_minimums(x.reshape(-1, 16, 16), low_code=-32, top_scale=127))


@blockwise(BLOCK, BLOCK_BYTES)
def search(x):  # float32 [blocks, 256] -> uint8 [blocks, 210]
    """As pack, with searched scales (search.py)."""
    return store(*k_symmetric(x.reshape(-1, 16, 16), -32, 31, -128))


def store(d, scales, q):
    codes = (q + 32).astype(np.uint8).reshape(-1, 2, 4, 32)
    low = (codes & 15).reshape(-1, 2, 2, 64)
    ql = (low[:, :, 0] | low[:, :, 1] << 4).reshape(-1, 128)
    qh = np.bitwise_or.reduce(codes >> 4 << QUARTERS, axis=2).reshape(-1, 64)
    return np.concatenate([ql, qh, scales.view(np.uint8), put_half(d)], axis=1)


def spread(raw):
    return np.abs(unpack(raw))
