"""The command as a process: pipes, signals, terminals and what goes to which stream."""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time

import pytest

COMMAND = [sys.executable, "-m", "cutaway"]


def test_output_streams_and_a_reader_that_leaves_is_no_error():
    code = "import sys; from cutaway.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["trace", "tiny:llama", "-p", "And God said, " * 20]
    process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()  # before anything is written
    err = process.stderr.read()
    assert process.wait(60) == 141
    assert err == b""


def test_an_interrupt_ends_with_130_and_no_traceback():
    words = ["chat", "tiny:llama", "--template", "plain", "--progress"]
    process = subprocess.Popen(
        [*COMMAND, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while b"loaded" not in process.stderr.readline():
        pass
    time.sleep(0.2)  # it waits for a line
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr.read() == b"\ninterrupted\n"


def test_progress_goes_to_standard_error_and_only_when_asked_for():
    words = [*COMMAND, "run", "tiny:llama", "-p", "And", "-n", "2", "--json"]
    quiet = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert quiet.stderr == ""
    loud = subprocess.run([*words, "--progress"], capture_output=True, text=True, timeout=60)
    assert "loading tiny:llama" in loud.stderr
    assert json.loads(loud.stdout)["ids"] == json.loads(quiet.stdout)["ids"]


def shell(line, **env):
    """Runs a line of bash; `cutaway` is the command."""
    line = f'cutaway() {{ "{sys.executable}" -m cutaway "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", line], capture_output=True, env=os.environ | env, timeout=60)


def test_closed_streams():
    assert shell("cutaway run tiny:llama -p And -n 3 >&-").returncode == 0
    assert shell("cutaway run tiny:llama -p And -n 3 2>&-").stdout == b"er, and\n"
    for words in ("run tiny:llama -p -", "tokenize tiny:llama", "chat tiny:llama --template plain"):
        done = shell(f"cutaway {words} <&-")
        assert done.returncode == 2 and b"standard input, which is closed" in done.stderr


@pytest.mark.parametrize("words", ["inspect tiny:llama", "inspect tiny:llama --json"])
def test_a_full_disk(words):
    done = shell(f"cutaway {words} > /dev/full")
    assert (done.returncode, done.stderr) == (2, b"cutaway: [Errno 28] No space left on device\n")


@pytest.mark.parametrize("env", [{"LC_ALL": "C"}, {"LANG": "C"}, {"PYTHONIOENCODING": "ascii"}], ids=str)
def test_text_that_the_terminal_cannot_show_is_escaped(env):
    done = shell("cutaway tokenize tiny:llama é", **env)
    assert done.returncode == 0 and (b"\\ufffd" in done.stdout or "\ufffd".encode() in done.stdout)


def on_a_terminal(columns, words, **env):
    """What the command writes to a terminal of so many columns, standard input and error being the same one."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *words], stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs, env=os.environ | env
    )
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # the terminal's end is an error
        while more := os.read(ours, 4096):
            seen += more
    os.close(ours)
    assert process.wait(60) == 0
    return seen.decode()


def test_progress_fits_a_narrow_terminal_and_leaves_nothing_there():
    seen = on_a_terminal(12, ["trace", "tiny:llama", "-p", "And"], TERM="xterm")
    assert "loading tin" in seen and seen.endswith("\r\x1b[K")
    assert all(len(line) < 12 for line in seen.split("\r\x1b[K"))


def test_a_dumb_terminal_gets_no_escapes():
    assert on_a_terminal(80, ["trace", "tiny:llama", "-p", "And"], TERM="dumb") == ""
