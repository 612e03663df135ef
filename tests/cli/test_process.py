"""The command as a process: pipes, signals, terminals and what goes to which stream."""

import json
import os
import signal
import subprocess
import sys
import time

COMMAND = [sys.executable, "-m", "cutaway.cli"]


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
