"""What tests of files share: opening what build() makes, being refused, and comparing two readers."""

import os
import subprocess
import sys
from pathlib import Path

import cutaway as ct
import numpy as np
import pytest
from cutaway import _core
from cutaway.errors import CutawayError
from files.build import METADATA, TENSORS, build

TINY = Path(__file__).parents[1] / "data" / "tiny"
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


def child(code, *arguments):
    """Runs Python code in a process of its own; its output."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, env=env, timeout=60
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def copy(file, path):
    """write(read(x))."""
    metadata = {key: (file.value_type(key), file.value(key)) for key in file.keys}
    ct.write_gguf(path, metadata, {t.name: (t.format, t.shape, file.raw(t.name)) for t in file.tensors})


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


def assert_equal_files(a, b):
    assert a.types == b.types and a.keys == b.keys
    np.testing.assert_equal(a.metadata, b.metadata)
    assert [(t.name, t.format, t.shape) for t in a.tensors] == [(t.name, t.format, t.shape) for t in b.tensors]
    assert all(np.array_equal(a.raw(t.name), b.raw(t.name)) for t in a.tensors)
