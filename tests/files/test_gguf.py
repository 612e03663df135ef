"""The GGUF reader and writer. Each test of a bad input carries the id of its row in the catalogue: G.. and F.. ."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cutaway as ct
import numpy as np
import pytest
from cutaway import _core
from cutaway.errors import (
    AllocationFailed,
    ArgumentError,
    CutawayError,
    FileChangedError,
    GGUFError,
    LimitExceededError,
    MappingError,
    ModelFormatError,
    ModelNotFoundError,
    SaveError,
    TruncatedFileError,
    UnsupportedModelError,
    WeightLoadingError,
)
from files.build import BF16, BLOCKS, F16, F32, F64, I8, METADATA, Q4_1, TENSORS, build, fields, header_bytes, u32, u64
from hypothesis import given, settings
from hypothesis import strategies as st

TINY = Path(__file__).parents[1] / "data" / "tiny"
LARGE = 2**63 - 64


def put(tmp_path, data, name="model.gguf"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def opened(tmp_path, data, header_only=True, **limits):
    return _core.open_gguf(put(tmp_path, data), header_only=header_only, limits=limits)


def refused(tmp_path, data, *kinds, header_only=True, **limits):
    """The error that a file is refused with: of one of `kinds`, exactly, naming the file and the byte offset."""
    with pytest.raises(CutawayError) as caught:
        opened(tmp_path, data, header_only, **limits)
    error = caught.value
    assert type(error) in kinds, f"{type(error).__name__}: {error}"
    assert "model.gguf" in error.message and f"(byte offset {error.details['offset']})" in error.message
    return error


def replaced(tmp_path, replace, *kinds, metadata=METADATA, tensors=TENSORS, **limits):
    return refused(tmp_path, build(metadata, tensors, replace), *kinds, **limits)


# --- what is accepted -------------------------------------------------------------------------------------------------


def test_every_field_comes_back(tmp_path):
    data = build()
    file = opened(tmp_path, data)
    assert file.kind == "gguf v3" and file.bytes == len(data) and file.warnings == []
    assert file.keys == list(METADATA) and file.types == {key: kind for key, (kind, _) in METADATA.items()}
    assert file.metadata == {key: value for key, (_, value) in METADATA.items()}
    start = header_bytes() + -header_bytes() % 32
    assert file.header_bytes == start
    assert [t.name for t in file.tensors] == list(TENSORS)
    assert [t.shape for t in file.tensors] == [(2, 4), (3, 32), (5,)]
    assert [t.format for t in file.tensors] == ["f32", "q4_1", "f16"]
    assert [(t.offset - start, t.bytes) for t in file.tensors] == [(0, 32), (32, 60), (96, 10)]
    for i, t in enumerate(file.tensors):
        assert file.raw(t.name).tolist() == [i + 1 + k for k in range(t.bytes)]
        assert file.raw(t.name, start=3, bytes=5).tolist() == [i + 4 + k for k in range(5)]


NUMBERS = {
    "u8": [0, 255],
    "i8": [-128, 127],
    "u16": [0, 2**16 - 1],
    "i16": [-(2**15), 2**15 - 1],
    "u32": [0, 2**32 - 1],
    "i32": [-(2**31), 2**31 - 1],
    "u64": [0, 2**64 - 1],
    "i64": [-(2**63), 2**63 - 1],
    "f32": [-0.0, 1.5, float("inf"), 2.0**-149],
    "f64": [0.1, -1e308],
    "bool": [True, False],
    "string": ["", "ü\n", "\udcff"],  # a byte that is not UTF-8 comes back as a surrogate escape
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_values_of_every_type_come_back(tmp_path, kind):
    encode = lambda v: v.encode("utf-8", "surrogateescape") if kind == "string" else v
    metadata = {f"k{i}": (kind, encode(v)) for i, v in enumerate(NUMBERS[kind])}
    metadata |= {"all": (kind + "[]", [encode(v) for v in NUMBERS[kind]]), "none": (kind + "[]", [])}
    file = opened(tmp_path, build(metadata, {}))
    assert [file.value(f"k{i}") for i in range(len(NUMBERS[kind]))] == NUMBERS[kind]
    assert file.value("all") == NUMBERS[kind] and file.value("none") == []
    assert [type(v) for v in file.value("all")] == [type(v) for v in NUMBERS[kind]]
    assert file.value_type("k0") == kind and file.value_type("all") == kind + "[]"


def test_version_2_reads_alike(tmp_path):
    file = opened(tmp_path, build(replace={"version": u32(2)}))
    assert file.kind == "gguf v2" and len(file.tensors) == 3


@pytest.mark.parametrize("alignment", [1, 4, 8, 64, 65536])
def test_alignments(tmp_path, alignment):
    file = opened(tmp_path, build(METADATA | {"general.alignment": ("u32", alignment)}, alignment=alignment))
    assert all(t.offset % alignment == 0 for t in file.tensors)
    assert file.raw("output_norm.weight").tolist() == list(range(3, 13))


def test_no_tensors_is_a_vocabulary(tmp_path):
    file = opened(tmp_path, build(tensors={}))
    assert file.tensors == [] and file.warnings == []


def test_tail_padding_may_be_there(tmp_path):
    data = build()
    assert opened(tmp_path, data + b"\0" * (-len(data) % 32)).warnings == []


@pytest.mark.parametrize("name", ["llama/llama-F16", "gpt2/gpt2-F16", "llama3-rope/llama3-rope-BF16"])
def test_real_files_agree_with_the_gguf_package(name):
    gguf = pytest.importorskip("gguf")
    path = TINY / f"{name}.gguf"
    ours, theirs = _core.open_gguf(path), gguf.GGUFReader(path)
    assert_same(ours, theirs)
    assert len(ours.tensors) > 20 and ours.warnings == []


def assert_same(ours, theirs):
    keys = [key for key in theirs.fields if not key.startswith("GGUF.")]
    assert ours.keys == keys
    for key in keys:
        np.testing.assert_equal(ours.value(key), theirs.fields[key].contents(), err_msg=key)
    assert len(ours.tensors) == len(theirs.tensors)
    for a, b in zip(ours.tensors, theirs.tensors, strict=True):
        shape = tuple(int(n) for n in b.shape[::-1])
        assert (a.name, a.shape, a.offset, a.bytes, a.type) == (b.name, shape, b.data_offset, b.n_bytes, b.tensor_type)
        assert np.array_equal(ours.raw(a.name), np.asarray(b.data).view(np.uint8).reshape(-1))


def test_many_threads_read_one_file():
    file = _core.open_gguf(TINY / "llama/llama-F16.gguf")
    expected = {t.name: file.raw(t.name) for t in file.tensors}
    with ThreadPoolExecutor(8) as pool:
        for t, got in zip(file.tensors * 5, pool.map(lambda t: file.raw(t.name), file.tensors * 5), strict=True):
            assert np.array_equal(got, expected[t.name])


def test_raw_refuses_what_is_not_there(tmp_path):
    file = opened(tmp_path, build())
    for start, count in [(0, 33), (33, 0), (32, 1), (2**63, 2**63), (1, 2**64 - 1)]:
        with pytest.raises(ArgumentError, match="has 32 bytes"):
            file.raw("token_embd.weight", start=start, bytes=count)
    assert file.raw("token_embd.weight", start=32).size == 0
    with pytest.raises(MappingError, match="token_embd.bias"):
        file.raw("token_embd.bias")


def test_limits_are_arguments(tmp_path):
    assert refused(tmp_path, build(), LimitExceededError, metadata_keys=5).details["limit"] == "metadata_keys"
    assert refused(tmp_path, build(), LimitExceededError, tensors=2).details["limit"] == "tensors"
    assert refused(tmp_path, build(), LimitExceededError, header_bytes=100).details["limit"] == "header_bytes"
    assert refused(tmp_path, build(), LimitExceededError, elements=95).details["tensor"] == "blk.0.ffn_up.weight"
    assert opened(tmp_path, build(), elements=96)
    with pytest.raises(ArgumentError, match="string_bytes"):
        opened(tmp_path, build(), strings=1)
    with pytest.raises(ArgumentError, match="integer"):
        opened(tmp_path, build(), tensors=-1)


# --- the catalogue ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 3, 4, 8, 23])
def test_g01_short_files(tmp_path, length):
    error = refused(tmp_path, build()[:length], TruncatedFileError)
    assert error.details["offset"] <= length


@pytest.mark.parametrize(
    "head, words",
    [
        (b"GGML", "GGML"),
        (b"tjgg\1\0\0\0", "GGJT"),
        (b"PK\3\4" + b"\0" * 30, "ZIP"),
        (b"\x7fELF\2\1\1", "ELF"),
        (b"<!DOCTYPE html><html>404", "HTML"),
        (b"\n <HTML><head>", "HTML"),
        (b"\x80\2}q\0.", "pickle: refused"),
        (b"\x1f\x8b\x08\0\0", "compressed"),
        (b'\x10\0\0\0\0\0\0\0{"a":{}}', "safetensors"),
        (b'{"error": "not found"}', "JSON"),
        (b"\0" * 600, "zeros"),
        (b"Not Found", "plain text"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"\x00" * 257 + b"ustar", "tar"),
        (b"\xde\xad\xbe\xef", "de ad be ef"),
    ],
)
def test_g02_says_what_it_looks_like(tmp_path, head, words):
    error = refused(tmp_path, head, GGUFError)
    assert words in error.message and "expected" in error.message


@pytest.mark.parametrize("version", [0, 1, 4, 2**32 - 1])
def test_g03_other_versions(tmp_path, version):
    error = replaced(tmp_path, {"version": u32(version)}, UnsupportedModelError)
    assert f"version {version}" in error.message and error.details["version"] == version


def test_g04_big_endian(tmp_path):
    error = replaced(tmp_path, {"version": (3).to_bytes(4, "big")}, UnsupportedModelError)
    assert "big-endian" in error.message


@pytest.mark.parametrize("field", ["n_tensors", "n_keys"])
@pytest.mark.parametrize("count", [2**64 - 1, 2**63, 2**60, 65536 * 16, 1000])
def test_g05_counts_beyond_the_file(tmp_path, field, count):
    data = build(replace={field: u64(count)})
    start = time.perf_counter()
    refused(tmp_path, data, LimitExceededError, TruncatedFileError)
    assert time.perf_counter() - start < 0.1  # worst seen 0.21 ms; what is claimed is never walked


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 65536])
def test_g06_key_lengths(tmp_path, length):
    assert "a key" in replaced(tmp_path, {"key.1.length": u64(length)}, GGUFError).message


@pytest.mark.parametrize("key", [b"", b"a\0b", b"\xff\xfe", b"a b", "clé".encode(), b"a\x1b[2J"])
def test_g06_key_names(tmp_path, key):
    error = replaced(tmp_path, {"key.1.name": key, "key.1.length": u64(len(key))}, GGUFError)
    assert "key 1" in error.message and error.message.isprintable()


def test_g07_string_beyond_the_file(tmp_path):
    error = replaced(tmp_path, {"key.0.value": u64(10**6) + b"llama"}, TruncatedFileError)
    assert "1000000 bytes" in error.message
    replaced(tmp_path, {"key.0.value": u64(2**62) + b"llama"}, TruncatedFileError)


def test_g07_string_beyond_the_cap(tmp_path):
    path = put(tmp_path, build(replace={"key.0.value": u64(65 << 20) + b"llama"}))
    os.truncate(path, 100 << 20)  # sparse: the bytes are there, and are not read
    with pytest.raises(LimitExceededError, match="68157440 bytes is longer than the cap of 67108864"):
        _core.open_gguf(path)


@pytest.mark.parametrize("kind", [13, 2**32 - 1])
@pytest.mark.parametrize("field", ["key.0.type", "key.3.element_type"])
def test_g08_value_types(tmp_path, kind, field):
    error = replaced(tmp_path, {field: u32(kind)}, GGUFError)
    assert f"type {kind}" in error.message


@pytest.mark.parametrize("kind, count", [(0, 2**40), (10, 2**61), (8, 2**61), (10, 2**64 - 1)])
def test_g09_array_counts(tmp_path, kind, count):
    error = replaced(tmp_path, {"key.3.element_type": u32(kind), "key.3.count": u64(count)}, LimitExceededError)
    assert error.details["limit"] == "array_elements"


def test_g09_array_counts_that_wrap_with_the_cap_raised(tmp_path):
    replace = {"key.3.element_type": u32(10), "key.3.count": u64(2**61)}
    replaced(tmp_path, replace, GGUFError, TruncatedFileError, array_elements=2**64 - 1)
    replace["key.3.count"] = u64(2**40)
    replaced(tmp_path, replace, TruncatedFileError, array_elements=2**64 - 1)
    replace = {"key.3.element_type": u32(0), "key.3.count": u64(2**64 - 1)}
    replaced(tmp_path, replace, TruncatedFileError, array_elements=2**64 - 1)
    replaced(tmp_path, {"key.0.value": u64(2**64 - 1)}, TruncatedFileError, string_bytes=2**64 - 1)


def test_g10_nested_arrays(tmp_path):
    nest = (u32(9) + u64(1)) * 20_000
    error = replaced(tmp_path, {"key.3.element_type": nest}, GGUFError)
    assert "array of arrays" in error.message


@pytest.mark.parametrize("byte", [2, 255])
def test_g11_bools(tmp_path, byte):
    replaced(tmp_path, {"key.5.value": bytes([byte])}, GGUFError)
    assert f"{byte}" in refused(tmp_path, build({"b": ("bool[]", [1, byte])}), GGUFError).message


def test_g12_repeated_key(tmp_path):
    parts = fields()
    name = {"key.2.name": parts["key.1.name"], "key.2.length": parts["key.1.length"]}
    error = replaced(tmp_path, name, GGUFError)
    assert "llama.block_count appears twice" in error.message
    assert build()[error.details["first"] + 8 :].startswith(b"llama.block_count")
    assert error.details["first"] < error.details["offset"]


def test_g12_repeated_tensor(tmp_path):
    parts = fields()
    name = {"tensor.2.name": parts["tensor.0.name"], "tensor.2.length": parts["tensor.0.length"]}
    error = replaced(tmp_path, name, GGUFError)
    assert "token_embd.weight appears twice" in error.message
    assert build()[error.details["first"] + 8 :].startswith(b"token_embd.weight")
    assert error.details["first"] < error.details["offset"]


def test_g13_seven_million_keys(tmp_path):
    path = put(tmp_path, build(replace={"n_keys": u64(7_000_000)}))
    os.truncate(path, 98 << 20)
    start = time.perf_counter()
    with pytest.raises(LimitExceededError, match="7000000"):
        _core.open_gguf(path)
    assert time.perf_counter() - start < 0.5


def test_g13_many_keys_cost_no_square(tmp_path):
    path = put(tmp_path, build({f"{i:06d}": ("u8", 0) for i in range(160_000)}, {}))
    start = time.perf_counter()
    _core.open_gguf(path, limits={"metadata_keys": 10**6})
    assert time.perf_counter() - start < 2  # worst seen 0.12 s; comparing all pairs would take more than 10 s


@pytest.mark.parametrize(
    "kind, it", [("u32", 0), ("u32", 3), ("u32", 48), ("u32", 2**31), ("u64", 32), ("string", "32")]
)
def test_g14_alignment(tmp_path, kind, it):
    error = refused(tmp_path, build(METADATA | {"general.alignment": (kind, it)}), GGUFError)
    assert "general.alignment" in error.message and "expected" in error.message


def test_g15_tensor_name_at_the_cap(tmp_path):
    file = opened(tmp_path, build(tensors={"n" * 63: ((1,), F32), "m" * 64: ((1,), F32)}))
    assert [len(t.name) for t in file.tensors] == [63, 64]
    assert len(file.warnings) == 1 and "llama.cpp" in file.warnings[0]


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


def test_g17_dimension_of_zero_warns(tmp_path):
    file = opened(tmp_path, build(tensors=TENSORS | {"empty": ((32, 0), Q4_1)}), header_only=False)
    assert file.warnings == ["tensor empty has a dimension of 0"]
    assert file.tensors[-1].shape == (0, 32) and file.raw("empty").size == 0


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


def test_known_types_that_we_do_not_run_are_listed_but_not_loaded(tmp_path):
    data = build(tensors=TENSORS | {"a": ((4,), F64), "b": ((4, 4), F64), "c": ((7,), I8)})
    file = opened(tmp_path, data)
    assert [(t.format, t.supported, t.bytes) for t in file.tensors[3:]] == [
        ("f64", False, 32),
        ("f64", False, 128),
        ("i8", False, 7),
    ]
    error = refused(tmp_path, data, UnsupportedModelError, header_only=False)
    assert "3 tensors" in error.message and "a (f64)" in error.message and "q4_1" in error.message
    info = ct.inspect(put(tmp_path, data))
    assert info.missing()[0] == "format f64 of 2 tensors is not one that we compute with"


def test_a_type_of_unknown_size_is_listed(tmp_path):
    file = opened(tmp_path, build(replace={"tensor.0.type": u32(9)}))  # q8_1, about whose size readers disagree
    assert (file.tensors[0].format, file.tensors[0].bytes, file.tensors[0].supported) == ("q8_1", 0, False)


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


def test_g25_any_order_and_gaps(tmp_path):
    parts = fields()
    data = parts["data"] + b"\0" * (256 - len(parts["data"])) + b"\7" * 32
    file = opened(tmp_path, build(replace={"tensor.0.offset": u64(256), "data": data}))
    assert file.raw("token_embd.weight").tolist() == [7] * 32
    assert file.tensors[0].offset > file.tensors[2].offset and file.warnings == []


@pytest.fixture
def memory_file():
    """A file in memory, for tests that write thousands: (path, write)."""
    fd = os.memfd_create("model.gguf")

    def write(data):
        os.truncate(fd, len(data))
        os.pwrite(fd, data, 0)

    yield f"/proc/self/fd/{fd}", write
    os.close(fd)


def test_g26_cut_at_every_byte(memory_file):
    data = build()
    path, write = memory_file
    for length in range(len(data)):
        write(data[:length])
        for header_only in (False, True):
            with pytest.raises((TruncatedFileError, GGUFError)) as caught:
                _core.open_gguf(path, header_only=header_only)
            assert "byte offset" in caught.value.message


def test_g27_every_header_byte_changed(memory_file):
    data = bytearray(build())
    path, write = memory_file
    outcomes = {}
    for i in range(header_bytes()):
        old = data[i]
        for new in {0, 255, (old + 1) % 256, (old - 1) % 256, *(old ^ 1 << bit for bit in range(8))} - {old}:
            data[i] = new
            write(data)
            try:
                file = _core.open_gguf(path)
                for t in file.tensors:
                    assert file.raw(t.name).size == t.bytes
                outcome = "accepted"
            except WeightLoadingError as error:
                assert "byte offset" in error.message
                outcome = type(error).__name__
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        data[i] = old
    assert set(outcomes) == {
        "accepted",
        "GGUFError",
        "TruncatedFileError",
        "LimitExceededError",
        "UnsupportedModelError",
    }


@pytest.mark.parametrize("tail", [b"x" * 40, b"\0" * 100])
def test_g28_tail(tmp_path, tail):
    data = build()
    file = opened(tmp_path, data + tail)
    after = len(data) + len(tail) - (len(data) + -len(data) % 32)
    assert len(file.warnings) == 1 and f"{after} bytes follow the last tensor" in file.warnings[0]


def test_g28_a_gigabyte_of_zeros(tmp_path):
    path = put(tmp_path, build())
    os.truncate(path, path.stat().st_size + (1 << 30))
    start = time.perf_counter()
    assert "1073741" in _core.open_gguf(path).warnings[0]
    assert time.perf_counter() - start < 0.1


# --- split files ------------------------------------------------------------------------------------------------------

NAMES = list(TENSORS)


def split(tmp_path, replace=None, count=3, stem="m"):
    """Writes TENSORS over three parts, one tensor each; `replace`: {part: {key: (type, value)}}."""
    for no in range(count):
        metadata = dict(METADATA) if no == 0 else {}
        metadata |= {"split.no": ("u16", no), "split.count": ("u16", count), "split.tensors.count": ("i32", 3)}
        metadata |= (replace or {}).get(no, {})
        put(tmp_path, build(metadata, {NAMES[no]: TENSORS[NAMES[no]]}), f"{stem}-{no + 1:05}-of-{count:05}.gguf")
    return tmp_path / f"{stem}-00001-of-{count:05}.gguf"


def test_split_files_are_one_file(tmp_path):
    file = _core.open_gguf(split(tmp_path))
    assert [Path(p).name for p in file.parts] == [f"m-{i:05}-of-00003.gguf" for i in (1, 2, 3)]
    assert [(t.name, t.part) for t in file.tensors] == [(name, i) for i, name in enumerate(NAMES)]
    assert file.value("general.architecture") == "llama" and file.warnings == []
    assert file.bytes == sum(p.stat().st_size for p in tmp_path.iterdir())
    for name in NAMES:
        assert file.raw(name)[0] == 1  # the first of its part
    info = ct.inspect(file.parts[0])
    assert "in 3 parts" in repr(info) and [row["part"] for row in info.tensors()] == [0, 1, 2]


def refused_split(path, *kinds):
    with pytest.raises(WeightLoadingError) as caught:
        _core.open_gguf(path)
    assert type(caught.value) in kinds, f"{type(caught.value).__name__}: {caught.value}"
    return caught.value


def test_g34_part_missing(tmp_path):
    path = split(tmp_path)
    (tmp_path / "m-00002-of-00003.gguf").unlink()
    error = refused_split(path, ModelNotFoundError)
    assert "2 of 3 parts are there, missing m-00002-of-00003.gguf" in error.message


def test_g34_not_the_first_part(tmp_path):
    split(tmp_path)
    error = refused_split(tmp_path / "m-00002-of-00003.gguf", GGUFError)
    assert "part 2 of 3" in error.message and "m-00001-of-00003.gguf" in error.hint


def test_g34_renamed(tmp_path):
    path = split(tmp_path).rename(tmp_path / "model.gguf")
    assert "-00001-of-00003.gguf" in refused_split(path, GGUFError).message


@pytest.mark.parametrize(
    "part, key, value",
    [
        (1, "split.no", ("u16", 2)),
        (1, "split.count", ("u16", 4)),
        (2, "split.tensors.count", ("i32", 4)),
        (2, "general.architecture", ("string", "gpt2")),
    ],
)
def test_g34_parts_disagree(tmp_path, part, key, value):
    error = refused_split(split(tmp_path, {part: {key: value}}), GGUFError)
    assert key in error.message and f"m-{part + 1:05}-of-00003.gguf" in error.message


def test_g34_wrong_number_of_tensors(tmp_path):
    wrong = {no: {"split.tensors.count": ("i32", 5)} for no in range(3)}
    assert "hold 3 tensors" in refused_split(split(tmp_path, wrong), GGUFError).message


def test_g34_tensor_in_two_parts(tmp_path):
    path = split(tmp_path)
    keys = {"split.no": ("u16", 2), "split.count": ("u16", 3), "split.tensors.count": ("i32", 3)}
    put(tmp_path, build(keys, {NAMES[0]: TENSORS[NAMES[0]]}), "m-00003-of-00003.gguf")
    error = refused_split(path, GGUFError)
    assert "token_embd.weight appears twice" in error.message and "m-00001-of-00003" in error.message


def test_g34_counts_that_are_no_counts(tmp_path):
    path = split(tmp_path, {0: {"split.count": ("u32", 2**32 - 1)}})
    refused_split(path, LimitExceededError)
    path = split(tmp_path, {0: {"split.count": ("string", "../../../etc/3")}})
    with pytest.raises(WeightLoadingError, match="split.count is the string"):
        _core.open_gguf(path)


# --- paths and the file system ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["directory", "fifo", "/dev/zero", "/dev/random", "socket"])
def test_g40_only_regular_files(tmp_path, what):
    path = Path(what) if what.startswith("/") else tmp_path / "it.gguf"
    if what == "directory":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "socket":
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
    caught = []

    def attempt():
        with pytest.raises(ModelFormatError, match="expected a regular file") as error:
            _core.open_gguf(path)
        caught.append(error.value)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(5)
    assert caught, "opening it blocks"


def test_g40_symlink_loop(tmp_path):
    (tmp_path / "a.gguf").symlink_to("b.gguf")
    (tmp_path / "b.gguf").symlink_to("a.gguf")
    with pytest.raises(ModelNotFoundError, match="symbolic links"):
        _core.open_gguf(tmp_path / "a.gguf")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_g40_no_permission(tmp_path):
    path = put(tmp_path, build())
    path.chmod(0)
    with pytest.raises(ModelNotFoundError, match="Permission denied"):
        _core.open_gguf(path)


def test_e001_names_the_nearest(tmp_path):
    for name in ("SmolLM2-135M-Instruct.Q4_1.gguf", "notes.txt", "config.json"):
        put(tmp_path, b"", name)
    with pytest.raises(FileNotFoundError) as caught:
        ct.inspect(tmp_path / "smollm2-135M-Instruct-Q4_1.gguf")
    assert "SmolLM2-135M-Instruct.Q4_1.gguf" in caught.value.message
    assert caught.value.details["nearest"] == str(tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf")
    with pytest.raises(ModelNotFoundError, match="nor is there a directory"):
        ct.inspect(tmp_path / "no" / "such.gguf")
    with pytest.raises(ModelNotFoundError) as caught:
        ct.inspect(tmp_path / "completely-different-name-of-a-model")
    assert "nearest" not in caught.value.details


def test_f01_interrupted_download(tmp_path):
    data = (TINY / "llama/llama-F16.gguf").read_bytes()
    path = put(tmp_path, data[: len(data) // 2], "llama.gguf.part")
    with pytest.raises(
        TruncatedFileError, match=f"expected {len(data)} bytes in the file, have {len(data) // 2}"
    ) as caught:
        _core.open_gguf(path)
    assert "did not finish" in caught.value.hint
    for length in (0, 20, 300):
        path = put(tmp_path, data[:length], "llama.gguf.incomplete")
        with pytest.raises(TruncatedFileError) as caught:
            _core.open_gguf(path)
        assert "did not finish" in caught.value.hint


def test_f01_lfs_pointer(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 98362432\n"
    error = refused(tmp_path, pointer, TruncatedFileError)
    assert (
        "Git LFS pointer" in error.message
        and "expected 98362432 bytes" in error.message
        and "git lfs pull" in error.hint
    )


def test_f03_truncated_after_opening(tmp_path):
    file = opened(tmp_path, build())
    os.truncate(tmp_path / "model.gguf", len(build()) - 5)
    with pytest.raises(TruncatedFileError):
        file.raw("output_norm.weight")
    with pytest.raises(TruncatedFileError):
        file.raw("token_embd.weight")  # all there, and yet the file is not what was validated


def test_f03_grown_or_rewritten_after_opening(tmp_path):
    file = opened(tmp_path, build())
    with open(tmp_path / "model.gguf", "ab") as f:
        f.write(b"more")
    with pytest.raises(FileChangedError):
        file.raw("token_embd.weight")
    file = opened(tmp_path, build())
    os.utime(tmp_path / "model.gguf", ns=(1, 1))
    with pytest.raises(OSError):
        file.raw("token_embd.weight")


def test_f03_replaced_or_deleted_is_harmless(tmp_path):
    file = opened(tmp_path, build())
    put(tmp_path, b"other", "new").rename(tmp_path / "model.gguf")
    assert file.raw("token_embd.weight").tolist() == list(range(1, 33))
    (tmp_path / "model.gguf").unlink()
    assert file.raw("token_embd.weight").tolist() == list(range(1, 33))


@pytest.mark.parametrize("name", ["a b.gguf", "ü漢.gguf", "%20%s.gguf", "~", b"\xff\xfe.gguf", "-rf", "$HOME.gguf"])
def test_f06_paths_are_taken_literally(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), os.fsencode(name))
    with pytest.raises(ModelNotFoundError) as caught:
        ct.inspect(path)
    assert str(caught.value) and caught.value.details["path"] == os.fsdecode(path)
    Path(os.fsdecode(path)).write_bytes(build())
    assert ct.inspect(path).path == ct.inspect(os.fsdecode(path)).path == os.fsdecode(path)
    ct.write_gguf(path, {"a": 1}, {})
    assert ct.inspect(path).key("a") == 1


@pytest.mark.parametrize("path", ["x" * 4096, "a/" * 3000, "a\0b.gguf", "", "~/no-such-model.gguf"])
def test_f06_impossible_paths(path):
    with pytest.raises(ModelNotFoundError) as caught:
        ct.inspect(path)
    assert len(caught.value.message) < 1000


def child(code, *arguments):
    """Runs Python code in a process of its own; its output."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, env=env, timeout=60
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer ends where operator new fails")
def test_f09_address_space_limit(tmp_path):
    """A file that really holds 480 MB of strings, in a process that may take 256 MiB more than it has."""
    path = put(tmp_path, build(replace={"key.3.count": u64(16_777_216)}))
    os.truncate(path, 200 << 20)
    out = child(
        "import resource, sys; from cutaway import _core, errors\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20),) * 2)\n"
        "try: _core.open_gguf(sys.argv[1])\n"
        "except errors.AllocationFailed as error: print(isinstance(error, MemoryError), error.code)\n"
        "print('alive')",
        path,
    )
    assert out == "True E004\nalive\n" and issubclass(AllocationFailed, MemoryError)


def test_f09_descriptor_limit(tmp_path):
    path = put(tmp_path, build())
    out = child(
        "import resource, sys; from cutaway import _core, errors\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)); files = []\n"
        "try:\n"
        "    while True: files.append(_core.open_gguf(sys.argv[1]))\n"
        "except errors.AllocationFailed as error: print(error.message)\n"
        "n = len(files); files.clear(); _core.open_gguf(sys.argv[1]); print(n > 20)",
        path,
    )
    assert "Too many open files" in out and out.endswith("True\n")


def test_descriptors_are_closed(tmp_path):
    good, bad = put(tmp_path, build()), put(tmp_path, build()[:-1], "bad.gguf")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        _core.open_gguf(good)
        with pytest.raises(TruncatedFileError):
            _core.open_gguf(bad)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("kind, n", [("u8[]", 16_000_000), ("string[]", 2_000_000), ("bool[]", 16_000_000)])
def test_inspecting_takes_little_memory(tmp_path, kind, n):
    """At most 64 MiB + 4 x header bytes. Worst seen: 0.5 MiB + 4 x (an empty string, 32 bytes for 8 in the file)."""
    metadata = {f"k{i}": (kind, []) for i in range(2)}
    payload = b"\0" * (8 * n if kind == "string[]" else n)
    replace = {f"key.{i}.{part}": raw for i in range(2) for part, raw in (("count", u64(n)), ("value", payload))}
    path = put(tmp_path, build(metadata, {}, replace))
    out = child(
        "import sys; import cutaway as ct\n"
        "peak = lambda: int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) * 1024\n"
        "before = peak(); info = ct.inspect(sys.argv[1]); repr(info), repr(info.metadata)\n"
        "print(peak() - before, info.header_bytes)",
        path,
    )
    taken, header = map(int, out.split())
    assert header == path.stat().st_size and taken <= (64 << 20) + 4 * header


# --- the writer -------------------------------------------------------------------------------------------------------


def copy(file, path):
    """write(read(x))."""
    metadata = {key: (file.value_type(key), file.value(key)) for key in file.keys}
    ct.write_gguf(path, metadata, {t.name: (t.format, t.shape, file.raw(t.name)) for t in file.tensors})


def assert_equal_files(a, b):
    assert a.types == b.types and a.keys == b.keys
    np.testing.assert_equal(a.metadata, b.metadata)
    assert [(t.name, t.format, t.shape) for t in a.tensors] == [(t.name, t.format, t.shape) for t in b.tensors]
    assert all(np.array_equal(a.raw(t.name), b.raw(t.name)) for t in a.tensors)


@pytest.mark.parametrize("name", ["llama/llama-F16", "gpt2/gpt2-F16", "llama3-rope/llama3-rope-BF16"])
def test_real_files_are_written_back_byte_for_byte(tmp_path, name):
    source = TINY / f"{name}.gguf"
    copy(_core.open_gguf(source), tmp_path / "copy.gguf")
    assert (tmp_path / "copy.gguf").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("kind", NUMBERS)
def test_values_of_every_type_are_written(tmp_path, kind):
    metadata = {f"k{i}": (kind, v) for i, v in enumerate(NUMBERS[kind])} | {
        "all": (kind + "[]", NUMBERS[kind]),
        "none": (kind + "[]", []),
    }
    ct.write_gguf(tmp_path / "a.gguf", metadata, {})
    file = _core.open_gguf(tmp_path / "a.gguf")
    assert file.types == {key: t for key, (t, _) in metadata.items()}
    assert file.metadata == {key: v for key, (_, v) in metadata.items()}


def test_types_are_inferred(tmp_path):
    metadata = {
        "a": True,
        "b": 3,
        "c": -3,
        "d": 2**40,
        "e": -(2**40),
        "f": 0.5,
        "g": "ü",
        "h": [1, -2],
        "i": [0.5, 1],
        "j": ["x"],
    }
    metadata |= {
        "k": np.uint16(7),
        "l": np.arange(3, dtype=np.int8),
        "m": np.float32(0.5),
        "n": [True],
        "o": [2**40],
        "p": ("string[]", []),
    }
    tensors = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "h": np.ones(5, np.float16),
        "t": np.arange(6.0, dtype=np.float32).reshape(2, 3).T,
    }
    tensors |= {"big": np.ones((2, 2), ">f4"), "q": ("q4_1", (2, 32), bytes(range(40)))}
    ct.write_gguf(tmp_path / "a.gguf", metadata, tensors)
    file = _core.open_gguf(tmp_path / "a.gguf")
    assert list(file.types.values()) == (
        ["bool", "u32", "i32", "u64", "i64", "f32", "string", "i32[]", "f32[]", "string[]"]
        + ["u16", "i8[]", "f32", "bool[]", "u64[]", "string[]"]
    )
    assert file.raw("w").view(np.float32).tolist() == [0, 1, 2, 3, 4, 5]
    assert file.tensor("t").shape == (3, 2) and file.raw("t").view(np.float32).tolist() == [0, 3, 1, 4, 2, 5]
    assert file.raw("big").view(np.float32).tolist() == [1] * 4
    assert file.tensor("q").format == "q4_1" and file.raw("q").tolist() == list(range(40))
    assert all(t.offset % 32 == 0 for t in file.tensors)


def test_the_gguf_package_reads_what_we_write(tmp_path):
    gguf = pytest.importorskip("gguf")
    metadata = {
        "general.architecture": "llama",
        "general.alignment": 64,
        "a": [1, 2],
        "b": ["x", "ü"],
        "c": -1.5,
        "d": ("u8", 3),
    }
    ct.write_gguf(
        tmp_path / "a.gguf",
        metadata,
        {"w": np.ones((3, 4), np.float32), "v": np.ones(7, np.float16), "u": np.ones(2, np.float32)},
    )
    assert_same(_core.open_gguf(tmp_path / "a.gguf"), gguf.GGUFReader(tmp_path / "a.gguf"))


@pytest.mark.parametrize(
    "metadata, tensors, words",
    [
        ({"": 1}, {}, "is empty"),
        ({"a b": 1}, {}, "ASCII"),
        ({"a": None}, {}, "NoneType"),
        ({"a": []}, {}, "say its type"),
        ({"a": [1, "b"]}, {}, "mixes types"),
        ({"a": ("u8", 256)}, {}, "a is 256, which is no u8"),
        ({"a": ("u8", -1)}, {}, "which is no u8"),
        ({"a": ("u32", 1.5)}, {}, "which is no u32"),
        ({"a": ("u32", True)}, {}, "which is no u32"),
        ({"a": ("bool", 1)}, {}, "which is no bool"),
        ({"a": ("u9", 1)}, {}, "has type u9"),
        ({"a": ("u8[]", 1)}, {}, "expected a sequence"),
        ({"a": ("string", 1)}, {}, "expected str"),
        ({"a": "\ud800"}, {}, "UTF-8"),
        ({"general.alignment": 48}, {}, "power of two"),
        ({}, {"": np.ones(1, np.float32)}, "is empty"),
        ({}, {"n" * 65: np.ones(1, np.float32)}, "longer than 64"),
        ({}, {"a\nb": np.ones(1, np.float32)}, "control"),
        ({}, {"a": np.float32(1)}, "rank 0"),
        ({}, {"a": np.ones((1,) * 5, np.float32)}, "more than 4"),
        ({}, {"a": np.ones(1, np.complex64)}, "complex64"),
        ({}, {"a": ("q4_1", (2, 31), bytes(40))}, "rows of 31"),
        ({}, {"a": ("q4_1", (2, 32), bytes(39))}, "takes 40 bytes, got 39"),
        ({}, {"a": ("f32", (-1, 32), b"")}, "shape"),
        ({}, {"a": ("f32", (2**62, 4), b"")}, "shape"),
        ({}, {"a": ("q9_9", (32,), b"")}, "q9_9"),
        ({}, {"a": ("f32", (1,))}, "tuple of 2"),
    ],
)
def test_the_writer_refuses(tmp_path, metadata, tensors, words):
    path = put(tmp_path, b"old")
    with pytest.raises(ArgumentError) as caught:
        ct.write_gguf(path, metadata, tensors)
    assert words in caught.value.message
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["model.gguf"]


def test_f04_a_failed_write_leaves_the_old_file(tmp_path):
    path = put(tmp_path, b"old")
    child(
        "import resource, signal, sys; import numpy as np, cutaway as ct\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try: ct.write_gguf(sys.argv[1], {'a': 1}, {'w': np.ones((100, 100), np.float32)})\n"
        "except ct.errors.SaveError as error: assert isinstance(error, OSError) and 'File too large' in error.message\n"
        "else: raise SystemExit('it was written')",
        path,
    )
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["model.gguf"]


def test_f04_a_killed_writer_leaves_a_temporary_that_the_next_one_removes(tmp_path):
    path = put(tmp_path, build())
    stale = put(tmp_path, b"half", ".model.gguf.tmp-1-0")
    fresh = put(tmp_path, b"half", ".model.gguf.tmp-2-0")  # perhaps another process's, just begun
    os.utime(stale, (1, 1))
    ct.write_gguf(path, {"a": 2}, {})
    assert _core.open_gguf(path).value("a") == 2
    assert sorted(os.listdir(tmp_path)) == [fresh.name, "model.gguf"]


def test_f04_a_directory_that_cannot_be_written(tmp_path):
    with pytest.raises(SaveError, match="No such file"):
        ct.write_gguf(tmp_path / "no" / "a.gguf", {}, {})
    with pytest.raises(SaveError, match="not a regular file"):
        ct.write_gguf(tmp_path, {}, {})


def test_writing_keeps_links_and_modes(tmp_path):
    path = put(tmp_path, b"old", "real.gguf")
    path.chmod(0o640)
    (tmp_path / "link.gguf").symlink_to("real.gguf")
    ct.write_gguf(tmp_path / "link.gguf", {"a": 1}, {})
    assert (tmp_path / "link.gguf").is_symlink() and _core.open_gguf(path).value("a") == 1
    assert path.stat().st_mode & 0o777 == 0o640


# --- inspect ----------------------------------------------------------------------------------------------------------


def test_inspect_a_real_file():
    info = ct.inspect(TINY / "llama/llama-F16.gguf")
    expected = {
        "architecture": "llama",
        "layers": 4,
        "width": 64,
        "heads": 4,
        "kv_heads": 2,
        "head_width": 16,
        "feed_forward": 160,
    }
    expected |= {
        "context": 512,
        "vocabulary": 1024,
        "tokenizer": "gpt2",
        "chat_template": False,
        "tied_head": False,
        "experts": None,
    }
    summary = info.summary()
    assert {key: summary[key] for key in expected} == expected
    assert info.missing() == [] and info.key("llama.block_count") == 4
    assert [row["layer"] for row in info.layers()] == [None, 0, 1, 2, 3]
    assert (
        sum(row["bytes"] for row in info.layers())
        == sum(row["bytes"] for row in info.formats())
        == sum(t["bytes"] for t in info.tensors())
    )
    assert {row["format"]: row["bits_per_weight"] for row in info.formats()} == {"f16": 16.0, "f32": 32.0}
    assert len(info.tensors("blk.0.*")) == 9 and info.tensors("blk.0.attn_q.weight")[0]["shape"] == [64, 64]
    assert info.tensors(sort="bytes")[0]["bytes"] == 131072
    text = repr(info)
    for words in (
        "llama-F16.gguf: gguf v3, 623.3 KiB, 39 tensors",
        "1024, byte-level BPE",
        "4 of width 16, 2 for keys and values",
    ):
        assert words in text
    with pytest.raises(MappingError, match="near it: llama.block_count"):
        info.key("llama.blok_count")


def test_inspect_to_json(tmp_path):
    info = ct.inspect(
        put(tmp_path, build(METADATA | {"nan": ("f32", float("nan")), "long": ("u8[]", list(range(17)))}))
    )
    plain = json.loads(info.to_json(), parse_constant=lambda word: pytest.fail(word))
    assert plain["metadata"]["nan"] == "nan" and plain["metadata"]["long"] == {
        "type": "u8[]",
        "length": 17,
        "first": list(range(16)),
    }
    assert json.loads(info.to_json(arrays=None))["metadata"]["long"] == list(range(17))
    assert plain["tensors"] == info.tensors().to_dict() and plain["types"]["long"] == "u8[]"
    assert list(plain) == (
        ["path", "parts", "kind", "bytes", "header_bytes", "summary", "missing", "warnings"]
        + ["metadata", "types", "formats", "layers", "tensors"]
    )


def test_inspect_says_what_cannot_run(tmp_path):
    metadata = {"general.architecture": ("string", "mamba"), "tokenizer.ggml.model": ("string", "rwkv")}
    missing = ct.inspect(put(tmp_path, build(metadata, {}))).missing()
    assert [line.split()[0:2] for line in missing] == [
        ["architecture", "mamba"],
        ["tokenizer", "rwkv"],
        ["there", "are"],
    ]


def test_inspect_a_large_file_at_once(tmp_path):
    """20 GB of tensors, sparse: nothing but the header is read."""
    path = put(
        tmp_path,
        build({"general.architecture": ("string", "llama")}, {"w": ((1,), F16)}, {"tensor.0.ne.0": u64(10**10)}),
    )
    os.truncate(path, 20 * 10**9 + 4096)
    start = time.perf_counter()
    assert ct.inspect(path).formats()[0]["bytes"] == 20 * 10**9
    assert time.perf_counter() - start < 0.1


# --- fuzzing ----------------------------------------------------------------------------------------------------------

LABELS = [label for label in fields() if label != "padding"]
ODD = [
    0,
    1,
    2,
    3,
    7,
    8,
    31,
    32,
    33,
    255,
    2**16,
    2**31,
    2**32 - 1,
    2**32,
    2**61,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 32,
    2**64 - 1,
]


@st.composite
def mutation(draw):
    label = draw(st.sampled_from(LABELS))
    old = fields()[label]
    how = draw(st.sampled_from(["odd", "bytes", "flip", "cut", "double"]))
    if how == "odd":
        return label, (draw(st.sampled_from(ODD)) % 2 ** (8 * len(old))).to_bytes(len(old), "little") if len(
            old
        ) <= 8 else old[::-1]
    if how == "flip" and old:
        i = draw(st.integers(0, len(old) - 1))
        return label, old[:i] + bytes([old[i] ^ 1 << draw(st.integers(0, 7))]) + old[i + 1 :]
    if how == "bytes":
        return label, draw(st.binary(max_size=24))
    return label, old[: len(old) // 2] if how == "cut" else old + old


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(mutation(), min_size=1, max_size=3))
def test_only_tree_exceptions(tmp_path_factory, mutations):
    gguf = pytest.importorskip("gguf")
    path = tmp_path_factory.getbasetemp() / "fuzz.gguf"
    path.write_bytes(build(replace=dict(mutations)))
    try:
        file = _core.open_gguf(path, header_only=True)
    except WeightLoadingError as error:
        assert "byte offset" in error.message and error.details["offset"] <= path.stat().st_size
        return
    for t in file.tensors:
        assert file.raw(t.name).size == t.bytes
    info = ct.inspect(path)
    assert repr(info) and info.to_json() and repr(info.tensors()) and repr(info.metadata)
    copy(file, path.with_name("fuzz2.gguf"))
    assert_equal_files(file, _core.open_gguf(path.with_name("fuzz2.gguf"), header_only=True))
    try:
        theirs = gguf.GGUFReader(path)
    except Exception:
        return  # what it refuses is no measure; what both accept must be equal
    assert_same(file, theirs)


def test_every_block_size_is_the_gguf_packages(tmp_path):
    gguf = pytest.importorskip("gguf")
    for kind, (block, size) in gguf.GGML_QUANT_SIZES.items():
        if kind.name == "Q8_1":
            continue  # the package counts 40 bytes, the C struct has 36
        BLOCKS[int(kind)] = (block, size)
        file = opened(tmp_path, build(tensors={"w": ((2 * block, 3), int(kind))}))
        assert file.tensors[0].bytes == 6 * size and file.tensors[0].format == kind.name.lower()
    assert BF16 in BLOCKS
