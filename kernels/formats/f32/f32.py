"""f32 in NumPy: IEEE 754 binary32, little-endian, as is."""

import numpy as np

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "f32", 1, 4, 0


def unpack(raw):  # uint8 [rows, 4 n] -> float32 [rows, n]
    return np.ascontiguousarray(raw).view("<f4").astype(np.float32, copy=False)


def pack(x):  # float32 [rows, n] -> uint8 [rows, 4 n]
    return np.ascontiguousarray(x.astype("<f4")).view(np.uint8)


def spread(raw):
    return np.abs(unpack(raw))
