"""The laws of Utf8Stream: whatever the cuts, the outputs join up to Python's decode(errors="replace"); never half a
character; nothing that is complete is held back."""

import cutaway as ct
import pytest
from cutaway.errors import ArgumentError, InvalidTokenId
from hypothesis import given, settings
from hypothesis import strategies as st

# Bytes near every border of the encoding: first bytes, continuation bytes, overlong forms, surrogates, above U+10FFFF.
EDGES = bytes(
    [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEE, 0xEF]
)
EDGES += bytes([0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF])
byte_strings = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from(EDGES), max_size=12).map(bytes),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
)


def stream(parts):
    s = ct.Utf8Stream()
    outputs = [s.push_bytes(part) for part in parts]
    return [*outputs, s.flush()]


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(byte_strings, st.lists(st.integers(0, 40), max_size=6))
def test_joined_outputs_are_the_one_shot_text(data, cuts):
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    parts = [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    assert "".join(stream(parts)) == data.decode("utf-8", "replace")
    assert "".join(stream([bytes([b]) for b in data])) == data.decode("utf-8", "replace")


def test_every_pair_and_triple_of_border_bytes():
    for a in EDGES:
        for b in EDGES:
            for c in EDGES:
                data = bytes([a, b, c])
                assert "".join(stream([data[:1], data[1:2], data[2:]])) == data.decode("utf-8", "replace"), data


@pytest.mark.parametrize("character", ["A", "é", "中", "🦙", "\ufffd", "\x00", "\U0010ffff"])
def test_a_character_comes_out_whole_with_its_last_byte(character):
    data = character.encode()
    s = ct.Utf8Stream()
    for i, byte in enumerate(data[:-1]):
        assert s.push_bytes(bytes([byte])) == "" and s.pending == data[: i + 1]
    assert s.push_bytes(data[-1:]) == character
    assert s.pending == b"" and s.flush() == ""


def test_a_literal_replacement_character_does_not_stall():
    s = ct.Utf8Stream()
    assert s.push_bytes("a\ufffd".encode()) == "a\ufffd"
    assert s.push_bytes(b"b") == "b" and s.flush() == ""


@pytest.mark.parametrize("cut", [b"\xf0", b"\xf0\x9f", b"\xf0\x9f\xa6", b"\xe4\xb8", b"\xc3"])
def test_a_text_that_ends_within_a_character_ends_in_one_replacement(cut):
    s = ct.Utf8Stream()
    assert s.push_bytes(b"x" + cut) == "x"
    assert s.flush() == "\ufffd"
    assert s.flush() == "" and s.push_bytes(b"y") == "y"  # as new


def test_errors_come_out_as_soon_as_they_are_certain():
    s = ct.Utf8Stream()
    assert s.push_bytes(b"\xff") == "\ufffd"
    assert s.push_bytes(b"\xe0\x80") == "\ufffd\ufffd"  # E0 cannot go on with 80: both are wrong, and known to be
    assert s.push_bytes(b"\xed") == ""
    assert s.push_bytes(b"A") == "\ufffdA"


@pytest.mark.parametrize("name", ["gpt-2", "qwen2", "llama-bpe", "llama-spm", "phi-3"])
def test_tokens_one_by_one_are_decode(vocabulary, name):
    tokenizer = vocabulary(name)
    ids = [(i * 7919) % tokenizer.vocab_size for i in range(5000)]  # any bytes in any order
    ids += tokenizer.encode("🦙👍🏽 Ünïcödé 中文 \ufffd e\u0301", bos=False).tolist()
    for skip in (False, True):
        s = ct.Utf8Stream(tokenizer, skip_special=skip)
        assert "".join([s.push(i) for i in ids] + [s.flush()]) == tokenizer.decode(ids, skip_special=skip)


def test_a_stream_that_goes_on_a_text_keeps_its_blank(vocabulary):
    tokenizer = vocabulary("llama-spm")
    ids = tokenizer.encode("Paris is", bos=False)
    for start, text in ((True, "Paris is"), (False, " Paris is")):
        s = ct.Utf8Stream(tokenizer, start=start)
        assert "".join(map(s.push, ids)) + s.flush() == text == tokenizer.decode(ids, start=start)


def test_bad_ids_change_nothing(vocabulary):
    s = ct.Utf8Stream(vocabulary("gpt-2"))
    llama = vocabulary("gpt-2").encode("🦙").tolist()
    assert s.push(llama[0]) == ""
    held = s.pending
    for bad in (-1, 50257, 2**32, True, 1.0):
        with pytest.raises(InvalidTokenId):
            s.push(bad)
    assert s.pending == held
    with pytest.raises(ArgumentError):
        ct.Utf8Stream().push(1)
