"""iq4_xs in NumPy: 256 elements in 136 bytes, (d * (ls - 32)) * TABLE[code]. Layout: iq4_xs.h."""

import numpy as np
from cutaway.kernels.formats.bits import F, blockwise, half, inverse, nearest, put_half, signed_largest
from cutaway.kernels.formats.k_quants import as_stored
from cutaway.kernels.formats.search import TABLE_STEPS, from_table, k_symmetric

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "iq4_xs", 256, 136, 23

TABLE = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], F)
PAIRS = np.arange(0, 16, 2, dtype=np.uint16)  # where two bits of the groups j = 0..7 lie in scales_h


@blockwise(BLOCK_BYTES, BLOCK)
def unpack(b):  # uint8 [blocks, 136] -> float32 [blocks, 8, 32]
    high = np.ascontiguousarray(b[:, 2:4]).view("<u2") >> PAIRS & 3
    low = np.stack([b[:, 4:8] & 15, b[:, 4:8] >> 4], axis=2).reshape(-1, 8)
    scales = half(b, 0) * ((low | high << 4).astype(F) - 32)
    qs = b[:, 8:136].reshape(-1, 8, 16)
    return scales[..., None] * TABLE[np.concatenate([qs & 15, qs >> 4], axis=2)]


@blockwise(BLOCK, BLOCK_BYTES)
def pack(x):  # float32 [blocks, 256] -> uint8 [blocks, 136]
    """Simple: in each group of 32 the value of largest magnitude becomes -127 steps, the others the nearest code; ggml
    searches for better scales."""
    groups = x.reshape(-1, 8, 32)
    step = signed_largest(groups)[..., 0] / TABLE[0]
    d = as_stored(np.abs(step).max(-1, keepdims=True) / F(31))
    scales = np.rint(step * inverse(d)).clip(-31, 31)
    return store(d, scales, nearest(groups * inverse(d * scales)[..., None], TABLE))


@blockwise(BLOCK, BLOCK_BYTES)
def search(x):  # float32 [blocks, 256] -> uint8 [blocks, 136]
    """As pack, with searched scales (search.py)."""
    d, scales, q = k_symmetric(x.reshape(-1, 8, 32), -127, 113, -32, steps=TABLE_STEPS, integers=from_table(TABLE))
    return store(d, scales, np.searchsorted(TABLE, q).astype(np.uint8))


def store(d, scales, codes):
    stored = (scales + F(32)).astype(np.uint16)
    high = np.bitwise_or.reduce(stored >> 4 << PAIRS, axis=1, keepdims=True).astype("<u2").view(np.uint8)
    low = (stored & 15).astype(np.uint8).reshape(-1, 4, 2)
    qs = codes[..., :16] | codes[..., 16:] << 4
    return np.concatenate([put_half(d), high, low[..., 0] | low[..., 1] << 4, qs.reshape(-1, 128)], axis=1)


def spread(raw):
    return np.abs(unpack(raw))
