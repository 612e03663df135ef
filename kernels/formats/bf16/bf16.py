"""bf16 in NumPy: the upper half of an IEEE 754 binary32, little-endian."""

import numpy as np

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "bf16", 1, 2, 30


def unpack(raw):  # uint8 [rows, 2 n] -> float32 [rows, n]
    return (np.ascontiguousarray(raw).view("<u2").astype(np.uint32) << 16).view(np.float32)


def pack(x):  # float32 [rows, n] -> uint8 [rows, 2 n]
    """Rounds to nearest, ties to even; NaN keeps its upper half and becomes quiet."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    nan = (bits & 0x7FFFFFFF) > 0x7F800000
    rounded = (bits + np.where(nan, 0, 0x7FFF + (bits >> 16 & 1)).astype(np.uint32)) >> 16
    return np.where(nan, rounded | 64, rounded).astype("<u2").view(np.uint8)


def spread(raw):
    return np.abs(unpack(raw))
