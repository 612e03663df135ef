"""iq4_nl in NumPy: 32 elements in 18 bytes, d * TABLE[code]. Layout: iq4_nl.h."""

import numpy as np
from cutaway.kernels.formats.bits import (
    F,
    blockwise,
    half,
    halves,
    inverse,
    nearest,
    put_half,
    put_halves,
    signed_largest,
)
from cutaway.kernels.formats.k_quants import as_stored
from cutaway.kernels.formats.search import TABLE_STEPS, from_halves, from_table, half_steps, symmetric

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "iq4_nl", 32, 18, 20

TABLE = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], F)


@blockwise(BLOCK_BYTES, BLOCK)
def unpack(b):  # uint8 [blocks, 18] -> float32 [blocks, 32]
    return half(b, 0) * TABLE[halves(b[:, 2:18])]


@blockwise(BLOCK, BLOCK_BYTES)
def pack(x):  # float32 [blocks, 32] -> uint8 [blocks, 18]
    """Simple: the value of largest magnitude becomes -127 d, the others the nearest code; ggml searches for d."""
    d = signed_largest(x) / TABLE[0]
    return store(d, nearest(x * inverse(d), TABLE))


@blockwise(BLOCK, BLOCK_BYTES)
def search(x):  # float32 [blocks, 32] -> uint8 [blocks, 18]
    """As pack, with the scale of the smallest squared error (search.py) in place of the largest value's."""
    d = as_stored(symmetric(x, -127, 113, steps=TABLE_STEPS, integers=from_table(TABLE)))
    return store(d, from_halves(TABLE)[half_steps(x * inverse(d), -127, 113)])


def store(d, codes):
    return np.concatenate([put_half(d), put_halves(codes)], axis=1)


def spread(raw):
    return np.abs(unpack(raw))
