"""Bad text, bad ids, and texts that would take long. T06.. are rows of the catalogue of bad inputs."""

import json
import signal
import threading
import time

import numpy as np
import pytest
from cutaway.errors import ArgumentError, ContextLengthExceeded, IdNotFound, InvalidTokenId, InvalidUtf8
from hypothesis import given, settings
from hypothesis import strategies as st
from text.vocabularies import NAMES


@pytest.mark.parametrize(
    "text, index",
    [
        ("a\ud800", 1),
        ("é\udfff", 2),
        (b"ab\xffcd", 2),
        (b"\xc0\x80", 0),  # overlong NUL
        (b"12345678\xed\xa0\x80", 8),  # a surrogate
        (b"abc\xe4\xb8", 3),  # ends within a character
        (b"\xf4\x90\x80\x80", 0),  # above U+10FFFF
    ],
)
def test_bad_utf8(vocabulary, text, index):  # T08
    with pytest.raises(InvalidUtf8) as caught:
        vocabulary("gpt-2").encode(text)
    assert caught.value.code == "E008" and caught.value.details["index"] == index
    assert isinstance(caught.value, UnicodeError)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(data=st.binary(max_size=24))
def test_the_index_is_pythons(vocabulary, data):
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        with pytest.raises(InvalidUtf8) as caught:
            vocabulary("gpt-2").encode(data)
        assert caught.value.details["index"] == error.start
    else:
        assert vocabulary("gpt-2").decode_bytes(vocabulary("gpt-2").encode(data)) == data


@pytest.mark.parametrize("text", [None, 5, ["a"], bytearray(b"a")])
def test_text_is_str_or_bytes(vocabulary, text):
    with pytest.raises(ArgumentError, match="expected str or bytes"):
        vocabulary("gpt-2").encode(text)


@pytest.mark.parametrize(
    "bad", [-1, 50257, 2**31, 2**32, 2**63, 2**70, True, np.bool_(True), 1.0, np.float32(1), float("nan")]
)
def test_bad_ids_raise_and_are_never_clamped(vocabulary, bad):  # T11, I02
    t = vocabulary("gpt-2")
    for ids in ([5, bad], (5, bad), iter([5, bad])):
        with pytest.raises(InvalidTokenId) as caught:
            t.decode(ids)
        assert caught.value.code == "E007" and caught.value.details["index"] == 1
        assert isinstance(caught.value, IdNotFound) and isinstance(caught.value, IndexError)
        json.dumps(caught.value.details)
    with pytest.raises(InvalidTokenId):
        t.decode(bad)
    with pytest.raises(InvalidTokenId):
        t.piece(bad)


@pytest.mark.parametrize(
    "array", [np.array([1, -1]), np.array([1, 2**32 - 1], np.uint32), np.array([1.0]), np.array([True])]
)
def test_bad_arrays_of_ids(vocabulary, array):
    with pytest.raises(InvalidTokenId):
        vocabulary("gpt-2").decode(array)


@pytest.mark.parametrize("bad", ["ids", b"ids", None, [None], ["1"], [[1, 2], [3]], np.zeros((2, 2), int), object()])
def test_what_is_no_list_of_ids(vocabulary, bad):
    with pytest.raises(ArgumentError):
        vocabulary("gpt-2").decode(bad)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4", ">u8"])
def test_ids_of_every_integer_type(vocabulary, dtype):
    t = vocabulary("gpt-2")
    ids = np.array([72, 73, 0], dtype)
    assert t.decode(ids) == t.decode(ids.tolist()) == t.decode(list(ids)) == t.decode(ids[::1]) == "ij!"
    assert t.decode(ids[::-1]) == "!ji" and t.decode(np.array([], dtype)) == ""


# --- time -------------------------------------------------------------------------------------------------------------


HOSTILE = {
    "one letter": "a",
    "blanks": " ",
    "newlines": "\n",
    "apostrophes": "'",
    "one CJK character": "中",
    "combining marks": "\u0301",
    "emoji chains": "👨\u200d",
    "digits": "1",
    "words": "a ",
    "half a special token": "<|im_end|",
    "upper and neutral": "A日",
    "blank lines": " \n",
}


def cpu_s(call):
    """Least of three, in this thread's own time: a busy machine does not show."""
    times = []
    for _ in range(3):
        begin = time.thread_time()
        call()
        times.append(time.thread_time() - begin)
    return min(times)


@pytest.mark.parametrize("name", [*NAMES, "gpt-oss"])
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_text_takes_linear_time(vocabulary, tokenizer_of, byte_vocab, name, what):  # T06
    t = tokenizer_of({**byte_vocab, "pre": "gpt-4o"}) if name == "gpt-oss" else vocabulary(name)
    unit = HOSTILE[what]
    short = unit * (20_000 // len(unit.encode()))
    once = cpu_s(lambda: t.encode(short, bos=False))
    ten_times = cpu_s(lambda: t.encode(short * 10, bos=False))
    # Worst seen in three runs of all 72 cases on a busy machine: 13.0 times. Quadratic work would be 100 times.
    assert ten_times <= 20 * once + 0.01, f"{once * 1e3:.2f} ms became {ten_times * 1e3:.2f} ms"


def test_a_text_too_long_is_refused_early(vocabulary):  # T07
    for name in NAMES:
        t = vocabulary(name)
        with pytest.raises(ContextLengthExceeded) as caught:
            t.encode("one two " * 100, max_tokens=16)
        assert caught.value.details["max"] == 16 and caught.value.details["length"] > 16
        huge = "word " * (10 << 20)
        assert (
            cpu_s(lambda t=t, huge=huge: pytest.raises(ContextLengthExceeded, t.encode, huge, max_tokens=4096)) < 0.05
        )
    t = vocabulary("llama-bpe")
    assert len(t.encode("a", max_tokens=2)) == 2
    with pytest.raises(ContextLengthExceeded):
        t.encode("a", max_tokens=1)  # BOS counts
    for bad in (-1, True):
        with pytest.raises(ArgumentError):
            t.encode("a", max_tokens=bad)


@pytest.mark.parametrize("name", ["gpt-2", "llama-spm"])
@pytest.mark.parametrize("unit", ["word ", "a"])
def test_ctrl_c_interrupts_a_long_text(vocabulary, name, unit):
    t = vocabulary(name)
    text = unit * ((8 << 20) // len(unit))  # a second of work

    def interrupt(_signal, _frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            t.encode(text)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_threads_share_a_tokenizer(vocabulary, vectors):
    t = vocabulary("qwen2")
    cases = vectors("qwen2")
    wrong = []

    def work():
        wrong.extend(text for text, ids in cases * 5 if t.encode(text).tolist() != ids)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
