"""A GGUF file cut at every byte, with every byte changed, and with fields changed at random: only honest errors."""

import os

import cutaway as ct
import pytest
from cutaway import _core
from cutaway.errors import GGUFError, TruncatedFileError, WeightLoadingError
from files.build import build, fields, header_bytes
from files.opening import assert_equal_files, assert_same, copy
from hypothesis import given, settings
from hypothesis import strategies as st


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
