"""What holds for every format: the two tables agree, packing, spread, rows as they come, refusals, real files."""

from pathlib import Path

import cutaway as ct
import numpy as np
import pytest
from cutaway import _core
from cutaway.errors import ArgumentError, ShapeError
from cutaway.kernels.formats import checks
from cutaway.kernels.formats import format as reference

FILES = Path(__file__).parents[2] / "tests" / "data" / "tiny" / "llama-k"
every_format = pytest.mark.parametrize("name", reference.names())
blocked = pytest.mark.parametrize("name", [name for name in reference.names() if reference.module(name).BLOCK > 1])
# Where d and the minimum's factor lie in formats that have minimums.
MINIMUMS = {"q4_1": (0, 2), "q5_1": (0, 2), "q2_k": (80, 82), "q4_k": (0, 2), "q5_k": (0, 2)}


def test_core_and_numpy_list_the_same_formats():
    core = {f["name"]: (f["gguf_id"], f["block"], f["block_bytes"]) for f in _core.formats()}
    modules = [reference.module(name) for name in reference.names()]
    assert core == {f.NAME: (f.GGUF_ID, f.BLOCK, f.BLOCK_BYTES) for f in modules}
    assert len(core) == 16 and len({f["gguf_id"] for f in _core.formats()}) == 16
    assert {name for name, f in ct.formats().items() if f.minimums} == set(MINIMUMS)


def test_table_prints():
    assert "q4_k       12       256    144    4.5  scale * code + minimum, a scale for every 32" in repr(ct.formats())
    assert "bf16       30         1      2     16  plain floats" in repr(ct.formats())


@every_format
def test_lookup_by_name_and_id(name):
    f = reference.module(name)
    assert name == f.NAME and reference.module(f.GGUF_ID) is f


@every_format
def test_rows_of_several_blocks_at_any_address(name):
    f = reference.module(name)
    wide = np.random.default_rng(2).integers(0, 256, (5, 3 * f.BLOCK_BYTES + 3), dtype=np.uint8)
    flat = np.random.default_rng(3).integers(0, 256, 6 * f.BLOCK_BYTES + 3, dtype=np.uint8)
    for shift in range(3):
        rows = wide[:, shift : shift + 3 * f.BLOCK_BYTES]  # not contiguous: copied
        expected = np.concatenate([f.unpack(block) for block in np.split(rows, 3, axis=1)], axis=1)
        checks.same(checks.unpack(name, rows), expected, f"{name}, rows of three blocks")
        rows = flat[shift : shift + 6 * f.BLOCK_BYTES].reshape(2, -1)  # contiguous: read in place, unaligned
        checks.same(checks.unpack(name, rows), f.unpack(rows.copy()), f"{name}, {shift} bytes off")


@every_format
def test_no_rows_and_leading_axes(name):
    f = reference.module(name)
    assert ct.unpack(name, np.zeros((0, f.BLOCK_BYTES), np.uint8)).shape == (0, f.BLOCK)
    assert ct.pack(name, np.zeros((0, f.BLOCK))).shape == (0, f.BLOCK_BYTES)
    assert ct.unpack(name, np.zeros((2, 3, 2 * f.BLOCK_BYTES), np.uint8)).shape == (2, 3, 2 * f.BLOCK)
    assert ct.pack(name, np.zeros((2, 3, 2 * f.BLOCK))).shape == (2, 3, 2 * f.BLOCK_BYTES)
    assert ct.pack(name, np.zeros(f.BLOCK)).dtype == np.uint8
    assert ct.unpack(name, ct.pack(name, np.zeros(f.BLOCK))).dtype == np.float32


@pytest.mark.parametrize("name", ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "mxfp4"])
def test_pack_gives_gguf_bytes(name):
    gguf = pytest.importorskip("gguf")
    rng = np.random.default_rng(4)
    x = (rng.standard_normal((600, 96)) * np.exp(rng.uniform(-12, 12, (600, 1)))).astype(np.float32)
    x[0], x[1] = 0, 1
    x[2, ::2] = -x[2, 1::2]  # equal magnitudes, the first one counts
    x[3] = np.arange(96) / 2  # halves
    with np.errstate(all="ignore"):
        expected = gguf.quants.quantize(x, gguf.GGMLQuantizationType(reference.module(name).GGUF_ID)).view(np.uint8)
    got = ct.pack(name, x)
    assert np.array_equal(got, expected), f"rows {np.flatnonzero((got != expected).any(1))} differ"


@blocked
def test_spread(name):
    """|scale * code| + |minimum|, each term had from unpack alone by zeroing the factor of the other."""
    f = reference.module(name)
    raw = np.random.default_rng(5).integers(0, 256, (64, f.BLOCK_BYTES), dtype=np.uint8)
    if name in MINIMUMS:
        # Both factors near 1/4, signed so that the terms oppose each other: the K formats subtract their minimum.
        raw[:, MINIMUMS[name][0] + 1], raw[:, MINIMUMS[name][1] + 1] = 0x2C, 0x34 if name.endswith("k") else 0xB4
        products, minimums = raw.copy(), raw.copy()
        products[:, MINIMUMS[name][1] :][:, :2] = 0
        minimums[:, MINIMUMS[name][0] :][:, :2] = 0
        expected = np.abs(f.unpack(products)) + np.abs(f.unpack(minimums))
        assert (expected > 2 * np.abs(f.unpack(raw))).any(), "the case has no cancellation"
    else:
        expected = np.abs(f.unpack(raw))
    checks.same(f.spread(raw), expected, f"spread of {name}")


def test_refuses_unknown_formats():
    raw = np.zeros((1, 18), np.uint8)
    for call in (lambda: ct.unpack("q9_9", raw), lambda: _core.unpack("q9_9", raw, 32), lambda: ct.pack("q9_9", raw)):
        with pytest.raises(ArgumentError, match="q9_9.*expected one of .*q4_k"):
            call()
    with pytest.raises(ArgumentError, match="got 16, expected one of"):
        reference.module(16)


@every_format
def test_refuses_wrong_dtype(name):
    f = reference.module(name)
    for unpack in (_core.unpack, reference.unpack, lambda name, raw, n: ct.unpack(name, raw)):
        with pytest.raises(ArgumentError, match=rf"unpack\({name}\): raw is int8, expected uint8"):
            unpack(name, np.zeros((1, f.BLOCK_BYTES), np.int8), f.BLOCK)
    with pytest.raises(ArgumentError, match=rf"pack\({name}\): x is int64, expected floats"):
        ct.pack(name, np.zeros((1, f.BLOCK), np.int64))


@every_format
def test_refuses_wrong_shapes(name):
    f = reference.module(name)
    row = np.zeros((1, 2 * f.BLOCK_BYTES), np.uint8)
    for unpack in (_core.unpack, reference.unpack):
        with pytest.raises(ShapeError, match="expected 2: "):
            unpack(name, row[0], 2 * f.BLOCK)
        for n in (-f.BLOCK, 2 * f.BLOCK + 1 if f.BLOCK > 1 else -2):
            with pytest.raises(ShapeError, match=f"n is {n}, expected a multiple of {f.BLOCK}"):
                unpack(name, row, n)
        for n in (0, f.BLOCK, 3 * f.BLOCK):
            with pytest.raises(
                ShapeError, match=f"rows of raw have {2 * f.BLOCK_BYTES} bytes, expected {n // f.BLOCK}"
            ):
                unpack(name, row, n)
    with pytest.raises(ShapeError, match=f"expected rows of whole blocks, {f.BLOCK_BYTES} bytes"):
        ct.unpack(name, row[:, :-1])
    for call in (lambda: ct.unpack(name, np.uint8(1)), lambda: ct.pack(name, np.float32(1))):
        with pytest.raises(ShapeError):
            call()


@blocked
def test_pack_refuses_broken_rows_and_non_finite_values(name):
    f = reference.module(name)
    with pytest.raises(ShapeError, match=f"the last axis of x is {f.BLOCK + 1}, expected a multiple of {f.BLOCK}"):
        ct.pack(name, np.zeros((1, f.BLOCK + 1)))
    for bad in (np.nan, np.inf, -np.inf):
        x = np.zeros((2, f.BLOCK), np.float32)
        x[1, 7] = bad
        with pytest.raises(ArgumentError, match=rf"x\[1, 7\] is {bad}, expected finite"):
            ct.pack(name, x)


@pytest.mark.parametrize("path", sorted(FILES.glob("*.gguf")), ids=lambda path: path.stem)
def test_real_files(path):
    """Every matrix of a quantised model, as another program wrote it, gives the bits that gguf gives."""
    gguf = pytest.importorskip("gguf")
    seen = set()
    for tensor in gguf.GGUFReader(path).tensors:
        name = tensor.tensor_type.name.lower()
        raw = np.ascontiguousarray(tensor.data).view(np.uint8)
        raw = raw.reshape(-1, raw.shape[-1])
        checks.same(
            ct.unpack(name, raw),
            gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(len(raw), -1),
            tensor.name,
        )
        seen.add(name)
    assert path.stem.removeprefix("llama-k-").lower() in seen


def test_real_files_are_there():
    assert len(list(FILES.glob("*.gguf"))) == 12
