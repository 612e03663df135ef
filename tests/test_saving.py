"""F04: a file that is written is whole, or what was there before, whatever ends the process on the way."""

import os
import signal
import subprocess
import sys

import cutaway as ct
import numpy as np
import pytest
from cutaway import output
from cutaway.report import Report

# One process imports; a child of it for each way to die writes over an old file.
#   size N   killed by the system at byte N of the file (the limit's signal, which Python ignores by default)
#   call N   killed at the Nth of open, fsync, rename that a writer in Python makes
# Prints the way and what the file is then: old, new, none or torn; the last line counts what the killed left.
KILLED = """
import os, resource, signal, sys
import numpy as np, cutaway as ct
from cutaway import output
from cutaway.report import Report

kind, path, before = sys.argv[1:]
_, cache = ct.load("tiny:llama").run_with_cache(list(range(3, 43)), "blocks.*.attn.q")
report = Report("t", "isolate", [], list(range(5000)))
write = {
    "npz": lambda: cache.save(path), "safetensors": lambda: cache.save(path), "json": lambda: report.save(path),
    "html": lambda: output.write_whole(path, lambda f: f.write(b"<p>" * 20000)),
    "gguf": lambda: ct.write_gguf(path, {"a": 1}, {"w": np.arange(30000, dtype=np.float32)}),
}[kind]

def run(setup):
    if os.path.exists(path):
        os.unlink(path)
    if before == "old":
        open(path, "wb").write(b"old")
    child = os.fork()
    if not child:
        setup()
        write()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    data = open(path, "rb").read() if os.path.exists(path) else None
    left = "none" if data is None else "old" if data == b"old" else "new" if data == whole else "torn"
    return status, left

def limit(n):
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))

def die(n):
    count = [0]
    def step(real):
        def call(*args, **options):
            if count[0] == n:
                os.kill(os.getpid(), signal.SIGKILL)
            count[0] += 1
            return real(*args, **options)
        return call
    for owner, one in ((os, "fsync"), (os, "replace"), (output.os, "open")):
        setattr(owner, one, step(getattr(owner, one)))

whole = None
assert run(lambda: None)[0] == 0
whole = open(path, "rb").read()
for part in (0, 0.01, 0.3, 0.7, 0.999):
    n = int(part * len(whole))
    print("size", *run(lambda: limit(n)))
print("size", *run(lambda: limit(len(whole))))
if kind != "gguf":
    for n in range(9):
        print("call", *run(lambda: die(n)))
print(len([f for f in os.listdir(os.path.dirname(path)) if ".tmp-" in f]))
"""


@pytest.mark.parametrize("kind", ["npz", "safetensors", "json", "html", "gguf"])
@pytest.mark.parametrize("before", ["old", "none"])
def test_a_writer_killed_anywhere_leaves_the_old_file_or_the_new_one(kind, before, tmp_path):
    code = [sys.executable, "-c", KILLED, kind, tmp_path / f"run.{kind}", before]
    out = subprocess.run(code, capture_output=True, text=True, timeout=120)
    assert out.returncode == 0, out.stderr
    *lines, stale = [line.split() for line in out.stdout.splitlines()]
    sizes = [(int(status), left) for way, status, left in (line for line in lines) if way == "size"]
    assert [left for _, left in sizes] == [before] * 5 + ["new"]
    assert all(os.WTERMSIG(status) == signal.SIGXFSZ for status, _ in sizes[:5]) and sizes[5][0] == 0
    if kind != "gguf":
        calls = [(int(status), left) for way, status, left in lines if way == "call"]
        killed = [left for status, left in calls if status]
        assert calls[len(killed) :] and all(left == "new" for _, left in calls[len(killed) :])
        # Killed at the file's sync and at the renaming; then at the folder's opening and sync, the new in place.
        assert killed == [before, before, "new", "new"]
    assert int(stale[0]) >= 5  # what the killed left, for the next writer a minute later


def test_what_a_killed_writer_left_goes_when_the_next_one_writes(tmp_path):
    path = tmp_path / "r.json"
    stale, fresh = tmp_path / ".r.json.tmp-1-0", tmp_path / ".r.json.tmp-2-0"
    for left in (stale, fresh):
        left.write_bytes(b"half")
    os.utime(stale, (1, 1))
    Report("t", "isolate", []).save(path)
    assert sorted(os.listdir(tmp_path)) == [fresh.name, "r.json"]


def test_a_disk_that_says_no_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "r.html"
    path.write_text("old")
    code = (
        "import resource, sys; from cutaway import output; from cutaway.errors import SaveError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: output.write_whole(sys.argv[1], lambda f: f.write(b'x' * 5000))\n"
        "except SaveError as error: print(error.details['errno'], error.message)\n"
    )
    out = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60)
    assert out.stdout.startswith("27 ") and "r.html could not be written: File too large" in out.stdout, out.stderr
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["r.html"]


def test_what_fails_while_it_is_made_leaves_the_old_file(tmp_path):
    path = tmp_path / "r.txt"
    path.write_text("old")

    def fails(f):
        f.write(b"new")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        output.write_whole(path, fails)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["r.txt"]


def test_saving_keeps_links_and_modes(tmp_path):
    real, link = tmp_path / "real.npz", tmp_path / "link.npz"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    _, cache = ct.load("tiny:llama").run_with_cache([5, 6], "embed")
    cache.save(link)
    assert link.is_symlink() and real.stat().st_mode & 0o777 == 0o640
    with np.load(real) as saved:
        assert np.array_equal(saved["embed"], cache["embed"])
