"""f16 in NumPy: IEEE 754 binary16, little-endian."""

import numpy as np

NAME, BLOCK, BLOCK_BYTES, GGUF_ID = "f16", 1, 2, 1


def unpack(raw):  # uint8 [rows, 2 n] -> float32 [rows, n]
    return np.ascontiguousarray(raw).view("<f2").astype(np.float32)


def pack(x):  # float32 [rows, n] -> uint8 [rows, 2 n]
    """Rounds to nearest, ties to even; beyond 65504 becomes infinity."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(x.astype("<f2")).view(np.uint8)


def spread(raw):
    return np.abs(unpack(raw))
