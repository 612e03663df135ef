"""What the GGUF reader accepts, and what it gives back."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import cutaway as ct
import numpy as np
import pytest
from cutaway import _core
from cutaway.errors import ArgumentError, LimitExceededError, MappingError, UnsupportedModelError
from files.build import BF16, BLOCKS, F32, F64, I8, METADATA, Q4_1, TENSORS, build, fields, header_bytes, u32, u64
from files.opening import NUMBERS, TINY, assert_same, opened, put, refused


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


def test_g25_any_order_and_gaps(tmp_path):
    parts = fields()
    data = parts["data"] + b"\0" * (256 - len(parts["data"])) + b"\7" * 32
    file = opened(tmp_path, build(replace={"tensor.0.offset": u64(256), "data": data}))
    assert file.raw("token_embd.weight").tolist() == [7] * 32
    assert file.tensors[0].offset > file.tensors[2].offset and file.warnings == []


def test_g17_dimension_of_zero_warns(tmp_path):
    file = opened(tmp_path, build(tensors=TENSORS | {"empty": ((32, 0), Q4_1)}), header_only=False)
    assert file.warnings == ["tensor empty has a dimension of 0"]
    assert file.tensors[-1].shape == (0, 32) and file.raw("empty").size == 0


def test_g15_tensor_name_at_the_cap(tmp_path):
    file = opened(tmp_path, build(tensors={"n" * 63: ((1,), F32), "m" * 64: ((1,), F32)}))
    assert [len(t.name) for t in file.tensors] == [63, 64]
    assert len(file.warnings) == 1 and "llama.cpp" in file.warnings[0]


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


@pytest.mark.parametrize("name", ["llama/llama-F16", "gpt2/gpt2-F16", "llama3-rope/llama3-rope-BF16"])
def test_real_files_agree_with_the_gguf_package(name):
    gguf = pytest.importorskip("gguf")
    path = TINY / f"{name}.gguf"
    ours, theirs = _core.open_gguf(path), gguf.GGUFReader(path)
    assert_same(ours, theirs)
    assert len(ours.tensors) > 20 and ours.warnings == []


def test_every_block_size_is_the_gguf_packages(tmp_path):
    gguf = pytest.importorskip("gguf")
    for kind, (block, size) in gguf.GGML_QUANT_SIZES.items():
        if kind.name == "Q8_1":
            continue  # the package counts 40 bytes, the C struct has 36
        BLOCKS[int(kind)] = (block, size)
        file = opened(tmp_path, build(tensors={"w": ((2 * block, 3), int(kind))}))
        assert file.tensors[0].bytes == 6 * size and file.tensors[0].format == kind.name.lower()
    assert BF16 in BLOCKS


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
