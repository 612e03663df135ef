"""q3_k in NumPy: 256 elements in 110 bytes, (d * sc) * (code - 4). Layout: q3_k.h."""

import numpy as np
from cutaway.kernels.formats.bits import F, blockwise, half, halves, put_half, put_halves
from cutaway.kernels.formats.k_quants import without_minimums
from cutaway.kernels.formats.search import k_symmetric

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "q3_k", 256, 110, 11

QUARTERS = np.arange(0, 8, 2, dtype=np.uint8)[:, None]  # where two bits of four rows lie in one byte


@blockwise(BLOCK_BYTES, BLOCK)
def unpack(b):  # uint8 [blocks, 110] -> float32 [blocks, 16, 16]
    low = (b[:, 32:96].reshape(-1, 2, 1, 32) >> QUARTERS & 3).reshape(-1, 8, 32)
    top = b[:, None, :32] >> np.arange(8, dtype=np.uint8)[:, None] & 1  # bit r of hmask[l], row r of 32 elements
    q = (low | top << 2).astype(F).reshape(-1, 16, 16) - 4
    high = (b[:, None, 104:108] >> QUARTERS & 3).reshape(-1, 16)
    scales = (halves(b[:, 96:104]) | high << 4).astype(F) - 32
    return (half(b, 108) * scales)[..., None] * q


@blockwise(BLOCK, BLOCK_BYTES)
def pack(x):  # float32 [blocks, 256] -> uint8 [blocks, 110]
    """Simple: the largest magnitude of each group of 16 as it is, where ggml searches for a scale (k_quants.py)."""
    return store(*without_minimums(x.reshape(-1, 16, 16), low_code=-4, top_scale=31))


@blockwise(BLOCK, BLOCK_BYTES)
def search(x):  # float32 [blocks, 256] -> uint8 [blocks, 110]
    """As pack, with searched scales (search.py)."""
    return store(*k_symmetric(x.reshape(-1, 16, 16), -4, 3, -32))


def store(d, scales, q):
    codes, stored = (q + 4).astype(np.uint8), (scales + 32).astype(np.uint8)
    qs = np.bitwise_or.reduce((codes & 3).reshape(-1, 2, 4, 32) << QUARTERS, axis=2).reshape(-1, 64)
    hmask = np.packbits((codes >> 2).reshape(-1, 8, 32), axis=1, bitorder="little").reshape(-1, 32)
    high = np.bitwise_or.reduce((stored >> 4).reshape(-1, 4, 4) << QUARTERS, axis=1)
    return np.concatenate([hmask, qs, put_halves(stored & 15), high, put_half(d)], axis=1)


def spread(raw):
    return np.abs(unpack(raw))
