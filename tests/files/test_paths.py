"""Paths, cut downloads, files that change under us, and what opening takes. f01.. are rows of the catalogue."""

import os
import socket
import threading
from pathlib import Path

import cutaway as ct
import pytest
from cutaway import _core
from cutaway.errors import AllocationFailed, FileChangedError, ModelFormatError, ModelNotFoundError, TruncatedFileError
from files.build import build, u64
from files.opening import TINY, child, opened, put, refused


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


def test_a_name_of_hugging_face_is_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundError, match="no folder Qwen/Qwen3-0.6B, and nothing is ever downloaded") as caught:
        ct.load("Qwen/Qwen3-0.6B")
    assert "--local-dir Qwen3-0.6B" in caught.value.hint
    (tmp_path / "Qwen").mkdir()
    for name in ("Qwen/Qwen3-0.6B", "models/x.gguf"):
        with pytest.raises(ModelNotFoundError, match="No such file"):
            ct.load(name)


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


# --- memory and descriptors -------------------------------------------------------------------------------------------


@pytest.mark.native
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


@pytest.mark.native
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
