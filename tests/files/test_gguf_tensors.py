"""Refusals of a bad tensor table: names, shapes, sizes that wrap, types, offsets. g12.. are rows of the catalogue."""

import cutaway as ct
import pytest
from cutaway.errors import GGUFError, LimitExceededError, TruncatedFileError, UnsupportedModelError
from files.build import F32, F64, I8, build, fields, header_bytes, u32, u64
from files.opening import put, refused, replaced

LARGE = 2**63 - 64


def test_g12_repeated_tensor(tmp_path):
    parts = fields()
    name = {"tensor.2.name": parts["tensor.0.name"], "tensor.2.length": parts["tensor.0.length"]}
    error = replaced(tmp_path, name, GGUFError)
    assert "token_embd.weight appears twice" in error.message
    assert build()[error.details["first"] + 8 :].startswith(b"token_embd.weight")
    assert error.details["first"] < error.details["offset"]


@pytest.mark.parametrize(
    "name", ["n" * 65, "", "../../etc/passwd", "a\0b", "a\nb", "a\x1b[2Jb", "a\x9bb", b"\xff", b"\xed\xa0\x80"]
)
def test_g15_tensor_names(tmp_path, name):
    error = refused(tmp_path, build(tensors={name: ((1,), F32)}), GGUFError)
    assert error.message.isprintable()


def test_g15_tensor_name_length_beyond_the_file(tmp_path):
    replaced(tmp_path, {"tensor.1.length": u64(2**32)}, GGUFError)


def test_g15_names_print_escaped(tmp_path):
    metadata = {"general.architecture": ("string", "llama\x1b[2J\u202egnp.\n")}
    info = ct.inspect(put(tmp_path, build(metadata, {"a\u202eb": ((1,), F32)})))
    for text in (repr(info), repr(info.tensors()), repr(info.metadata), repr(info.layers())):
        assert all(line.isprintable() for line in text.split("\n"))
    assert "\\x1b[2J\\u202egnp.\\n" in repr(info.metadata)


@pytest.mark.parametrize("rank, kind", [(0, GGUFError), (5, LimitExceededError), (2**32 - 1, LimitExceededError)])
def test_g16_ranks(tmp_path, rank, kind):
    assert f"rank {rank}" in replaced(tmp_path, {"tensor.0.rank": u32(rank)}, kind).message


@pytest.mark.parametrize("n", [2**63, -1, -32])
def test_g17_negative_dimensions(tmp_path, n):
    replaced(tmp_path, {"tensor.0.ne.1": u64(n)}, GGUFError)


@pytest.mark.parametrize(
    "ne", [(2**32, 2**32), (2**62, 4), (2**62, 2), (2**21, 2**21, 2**21, 2), (2**32, 2**31 + 1), (0, 2**62, 4)]
)
def test_g18_product_wraps(tmp_path, ne):
    tensors = {"w": ((1,) * len(ne), F32)}
    replace = {f"tensor.0.ne.{i}": u64(n) for i, n in enumerate(ne)}
    assert "size overflow" in replaced(tmp_path, replace, GGUFError, tensors=tensors).message


@pytest.mark.parametrize("n, kind", [(2**62, F64), (2**62, F32), (2**61, F64)])
def test_g19_bytes_wrap(tmp_path, n, kind):
    tensors = {"w": ((1,), kind)}
    assert "size overflow" in replaced(tmp_path, {"tensor.0.ne.0": u64(n)}, GGUFError, tensors=tensors).message


@pytest.mark.parametrize("n", [2**62 - 1, 2**62 - 4])
def test_g20_padding_wraps(tmp_path, n):
    error = replaced(tmp_path, {"tensor.0.ne.0": u64(n)}, GGUFError, tensors={"w": ((1,), F32)})
    assert "size overflow" in error.message


@pytest.mark.parametrize("offset", [LARGE, 0])
def test_g21_sum_wraps(tmp_path, offset):
    tensors = {"a": ((1,), I8), "b": ((1,), I8)}
    replace = {"tensor.0.ne.0": u64(LARGE), "tensor.1.ne.0": u64(LARGE), "tensor.1.offset": u64(offset)}
    assert "size overflow" in replaced(tmp_path, replace, GGUFError, tensors=tensors).message


def test_g21_header_and_sum_wrap(tmp_path):
    """The inner sum fits 64 bits; with the header before it, it does not."""
    tensors = {"a": ((1,), I8), "b": ((1,), I8)}
    replace = {"tensor.0.ne.0": u64(LARGE), "tensor.1.ne.0": u64(LARGE + 32), "tensor.1.offset": u64(LARGE)}
    assert 2 * LARGE + 32 + header_bytes(tensors=tensors) > 2**64 > 2 * LARGE + 32
    assert "size overflow" in replaced(tmp_path, replace, GGUFError, tensors=tensors).message


def test_g21_elements_have_a_cap(tmp_path):
    error = replaced(tmp_path, {"tensor.0.ne.0": u64(2**49)}, LimitExceededError, tensors={"a": ((1,), I8)})
    assert error.details["limit"] == "elements"


@pytest.mark.parametrize("n", [1, 31, 33])
def test_g22_rows_in_whole_blocks(tmp_path, n):
    error = replaced(tmp_path, {"tensor.1.ne.0": u64(n)}, GGUFError)
    assert f"rows of {n} elements" in error.message and "32" in error.message and error.details["block"] == 32


@pytest.mark.parametrize("kind", [4, 5, 31, 33, 36, 38, 99, 2**32 - 1])
@pytest.mark.parametrize("header_only", [False, True])
def test_g23_removed_and_unassigned_types(tmp_path, kind, header_only):
    error = replaced(tmp_path, {"tensor.0.type": u32(kind)}, UnsupportedModelError, header_only=header_only)
    assert f"type {kind}" in error.message and error.details["tensor"] == "token_embd.weight"


def test_g24_unaligned_offset(tmp_path):
    assert "multiple of the alignment" in replaced(tmp_path, {"tensor.1.offset": u64(33)}, GGUFError).message


@pytest.mark.parametrize("offset", [2**64 - 32, 2**64 - 256])
def test_g24_offset_wraps(tmp_path, offset):
    replaced(tmp_path, {"tensor.1.offset": u64(offset)}, GGUFError, TruncatedFileError)


def test_g24_offset_beyond_the_file(tmp_path):
    error = replaced(tmp_path, {"tensor.1.offset": u64(1 << 20)}, TruncatedFileError)
    assert error.details["tensor"] == "blk.0.ffn_up.weight" and error.details["missing"] == error.details[
        "expected"
    ] - len(build())


def test_g24_one_byte_short(tmp_path):
    data = build()
    error = refused(tmp_path, data[:-1], TruncatedFileError)
    assert f"expected {len(data)} bytes in the file, have {len(data) - 1}: 1 are missing" in error.message
    assert (error.details["expected"], error.details["have"], error.details["missing"]) == (len(data), len(data) - 1, 1)


@pytest.mark.parametrize("offset", [0, 32, 64])  # on the first, on the second, in the middle of the second
def test_g25_overlap(tmp_path, offset):
    error = replaced(tmp_path, {"tensor.2.offset": u64(offset)}, GGUFError)
    assert "overlap" in error.message and "output_norm.weight" in error.message
