"""The GGUF writer: what it writes, what it refuses, and that a failed write leaves the old file."""

import os

import cutaway as ct
import numpy as np
import pytest
from cutaway import _core
from cutaway.errors import ArgumentError, SaveError
from files.build import build
from files.opening import NUMBERS, TINY, assert_same, child, copy, put


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
        ({}, {"a": ("f32", (1.5,), bytes(4))}, "float"),
        ({}, {"a": ("f32", 4, bytes(16))}, "not iterable"),
        ({}, {"a": ("f32", (1,), [0, 0, 0, 0])}, "bytes-like"),
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
