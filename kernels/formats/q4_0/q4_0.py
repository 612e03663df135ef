"""q4_0 in NumPy: 32 elements in 18 bytes, (code - 8) * d. Layout: q4_0.h."""

import numpy as np
from cutaway.kernels.formats.bits import F, blockwise, half, halves, inverse, put_half, put_halves, signed_largest

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "q4_0", 32, 18, 2


@blockwise(BLOCK_BYTES, BLOCK)
def unpack(b):  # uint8 [blocks, 18] -> float32 [blocks, 32]
    return (halves(b[:, 2:18]).astype(F) - 8) * half(b, 0)


@blockwise(BLOCK, BLOCK_BYTES)
def pack(x):  # float32 [blocks, 32] -> uint8 [blocks, 18]
    """The value of largest magnitude becomes code 0, that is -8 d: the bytes of gguf's quantiser."""
    d = signed_largest(x) / F(-8)
    codes = np.minimum(15, np.trunc(x * inverse(d) + F(8.5))).astype(np.uint8)
    return np.concatenate([put_half(d), put_halves(codes)], axis=1)


def spread(raw):
    return np.abs(unpack(raw))
