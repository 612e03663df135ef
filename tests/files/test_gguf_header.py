"""Refusals of a bad header: magic, versions, counts, keys and values. g01.. are rows of the catalogue of bad inputs."""

import os
import time

import pytest
from cutaway import _core
from cutaway.errors import GGUFError, LimitExceededError, TruncatedFileError, UnsupportedModelError
from files.build import METADATA, build, fields, u32, u64
from files.opening import put, refused, replaced


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
