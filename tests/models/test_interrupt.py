"""Ctrl-C in the middle of work: control comes back at once, and the model and the session go on."""

import os
import signal
import threading
import time

import cutaway as ct
import numpy as np
import pytest


def interrupt_after(seconds):
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()


@pytest.fixture(scope="module")
def model(data):
    return ct.load(data / "tiny/llama-k/llama-k-Q4_K.gguf", n_ctx=4096)


def test_in_a_long_prefill(data):
    # Plain loops on one thread: no machine is through with these tokens before the signal comes.
    model = ct.load(data / "tiny/llama-k/llama-k-Q4_K.gguf", n_ctx=4096, target="scalar", threads=1)
    ids = np.arange(4000) % 1000
    with model.session() as session:
        session.prefill(ids[:10])
        interrupt_after(0.05)
        with pytest.raises(KeyboardInterrupt):
            session.prefill(ids)
        assert session.length() == 10, "a call that was interrupted changes nothing"
        after = session.decode(3)
    with model.session() as fresh:
        fresh.prefill(ids[:10])
        assert fresh.decode(3).tobytes() == after.tobytes()


def test_while_generating(model):
    seen = []
    interrupt_after(0.1)
    with pytest.raises(KeyboardInterrupt):
        for step in model.stream("In the beginning", max_new_tokens=4000, temperature=1.0):
            seen.append(step.id)
            time.sleep(0.001)
    assert seen
    assert model.generate("In the beginning", max_new_tokens=len(seen), temperature=1.0).ids == seen


def test_a_generator_that_is_dropped_gives_back_what_it_holds(model):
    for _ in range(3):
        steps = model.stream("In the beginning", max_new_tokens=50)
        next(steps)
        del steps
    assert model.generate("In the beginning", max_new_tokens=2).ids


def test_threads_run_while_the_model_computes(model):
    """The interpreter lock is free in native work: another thread counts on."""
    count, stop = 0, False

    def counter():
        nonlocal count
        while not stop:
            count += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=counter)
    thread.start()
    before = count
    model.run(np.arange(1500) % 1000)
    moved = count - before
    stop = True
    thread.join()
    assert moved > 20


def test_a_forked_child_can_run(model):
    expected = model.run([1, 2, 3]).tobytes()
    child = os.fork()
    if child == 0:
        os._exit(0 if model.run([1, 2, 3]).tobytes() == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert model.run([1, 2, 3]).tobytes() == expected
