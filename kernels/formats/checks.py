"""What the formats' tests share. Each check fails by naming the block and the element that is wrong."""

import hashlib
import itertools

import numpy as np
import pytest
from cutaway import _core
from cutaway.kernels.formats import format as reference

# float16 bit patterns: zeros, subnormals, smallest normals, largest, infinities, NaN quiet and signalling, one.
PATTERNS = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x83FF, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00, 0x7C01]
PATTERNS += [0xFFFF, 0x3C00]
# Scales whose products with codes are exact: ordinary, negative zero, the smallest and largest subnormal, the largest.
SCALES = [1.0, -0.375, -0.0, 2.0**-24, -1023 * 2.0**-24, 65504.0]


def half(value):
    """The two bytes of a float16."""
    return np.array([value], "<f2").tobytes()


def same(got, expected, what):
    """Equal bits, or NaN on both sides."""
    got, expected = np.ascontiguousarray(got, np.float32), np.ascontiguousarray(expected, np.float32)
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    equal = (got.view(np.uint32) == expected.view(np.uint32)) | (np.isnan(got) & np.isnan(expected))
    if not equal.all():
        block, element = np.argwhere(~equal)[0]
        raise AssertionError(
            f"{what}: {(~equal).sum()} of {equal.size} elements differ, first in block {block} element {element}: "
            f"{got[block, element]!r}, expected {expected[block, element]!r}"
        )


def unpack(name, raw):
    """The core's float32 [blocks, BLOCK], once it is known to equal NumPy's bit for bit."""
    f = reference.module(name)
    out = _core.unpack(name, raw, raw.shape[1] // f.BLOCK_BYTES * f.BLOCK)
    same(out, f.unpack(raw), f"{name}, core against NumPy")
    return out


def blocks(name, fields, count=512):
    """Random bytes, with every combination of PATTERNS in the float16 fields at these byte offsets."""
    f = reference.module(name)
    raw = np.random.default_rng(0).integers(0, 256, (count, f.BLOCK_BYTES), dtype=np.uint8)
    patterns = np.array(PATTERNS, "<u2").view(np.uint8).reshape(-1, 2)
    for block, values in zip(raw, itertools.product(patterns, repeat=len(fields)), strict=False):
        for at, value in zip(fields, values, strict=True):
            block[at : at + 2] = value
    return raw


def as_gguf(name, raw):
    """The gguf package's type agrees on id, elements and bytes, and its decoder on every bit."""
    gguf = pytest.importorskip("gguf")
    f = reference.module(name)
    kind = gguf.GGMLQuantizationType(f.GGUF_ID)
    assert kind.name.lower() == name
    assert gguf.GGML_QUANT_SIZES[kind] == (f.BLOCK, f.BLOCK_BYTES)
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(raw, kind)
    same(unpack(name, raw), expected, f"{name}, core against gguf")


def golden(name, raw, first, last, sha256):
    """A stored block, its first and last values, and the hash of all its values' bytes, made with gguf 0.19.0."""
    raw = np.frombuffer(bytes.fromhex(raw), np.uint8)[None]
    same(unpack(name, raw)[:, : len(first)], [first], f"{name}, first values of the stored block")
    same(unpack(name, raw)[:, -len(last) :], [last], f"{name}, last values of the stored block")
    assert hashlib.sha256(unpack(name, raw).astype("<f4").tobytes()).hexdigest().startswith(sha256)


def places(name, fields, bits, value):
    """Builds blocks bit by bit from a written-down layout and expects exact values: who pairs neighbours fails here.

    fields  {byte: bytes}, everything but the codes
    bits    element -> [(byte, bit), ...], lowest bit of its code first
    value   (element, code) -> what must come out, exact in float64, rounded once to float32
    """
    f = reference.module(name)
    used = sorted(place for e in range(f.BLOCK) for place in bits(e))
    assert len(set(used)) == len(used), "two elements share a bit: the layout in the test is wrong"
    for salt in range(7):
        block, expected = np.zeros(f.BLOCK_BYTES, np.uint8), []
        for at, stored in fields.items():
            block[at : at + len(stored)] = list(stored)
        for e in range(f.BLOCK):
            code = (5 * e + e // 16 + 3 * salt) % 2 ** len(bits(e))
            for k, (byte, bit) in enumerate(bits(e)):
                block[byte] |= (code >> k & 1) << bit
            expected.append(value(e, code))
        with np.errstate(over="ignore"):
            rounded = np.array([expected], np.float64).astype(np.float32)
        same(unpack(name, block[None]), rounded, f"{name}, codes by place")


def round_trip(name):
    """The worst |unpack(pack(x)) - x| over the largest |x| of its block. Zeros must come back as zeros.

    Blocks are of size 1 to 4e4, where every scale and minimum is a normal float16.
    """
    f = reference.module(name)
    rng = np.random.default_rng(1)
    n = max(f.BLOCK, 32)
    x = rng.standard_normal((400, n))
    x[0], x[1], x[2] = 1, np.linspace(-1, 1, n), np.linspace(3, 4, n)
    x[3, 1:] *= 1e-3  # one large value
    x[4:100] = rng.uniform(-1, 1, (96, n))
    x[100:150] = np.abs(x[100:150])
    x[150:200] = -np.abs(x[150:200])
    x *= 10 ** rng.uniform(0, 4, (400, 1))
    x = x.astype(np.float32)
    y = unpack(name, f.pack(x))
    assert np.array_equal(unpack(name, f.pack(np.zeros((2, n), np.float32))), np.zeros((2, n)))
    return float((np.abs(y - x) / np.abs(x).max(1, keepdims=True)).max())
