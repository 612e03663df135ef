"""The JSON reader of model folders: all of RFC 8259, nothing beside it, within caps and in linear time."""

import json
import random
import time

import pytest
from cutaway import _core
from cutaway.errors import LimitExceededError, ModelFormatError
from hypothesis import given, settings
from hypothesis import strategies as st

parse = _core.parse_json


def refuses(text, words, offset, **limits):
    with pytest.raises(ModelFormatError, match=words) as caught:
        parse(text, **limits)
    assert caught.value.details["offset"] == offset


@pytest.mark.parametrize(
    "text, value",
    [
        ("0", 0),
        ("-7", -7),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", 2.0**63),
        ("1000000000000000019884624838656", 1e30),  # how Hugging Face writes "no limit"
        ("1.0", 1.0),
        ("1e3", 1000.0),
        ("-0", -0.0),
        ("1.5E-3", 0.0015),
        ('"\\u00e9\\ud83d\\ude00\\n\\"\\\\\\/\\b\\f\\r\\t\\u0000"', 'é😀\n"\\/\b\f\r\t\0'),
        (" [ true , false , null , [ ] , { } ] ", [True, False, None, [], {}]),
        ('{"b":1,"a":{"b":2}}', {"b": 1, "a": {"b": 2}}),
    ],
)
def test_values(text, value):
    got = parse(text.encode())
    assert got == value and type(got) is type(value) and repr(got) == repr(value)


def test_an_object_keeps_its_order():
    assert list(parse(b'{"z":0,"a":0,"m":0}')) == ["z", "a", "m"]


@pytest.mark.parametrize(
    "text, words, offset",
    [
        (b"", "expected a value, but the text ends", 0),
        (b"  ", "expected a value, but the text ends", 2),
        (b"\xef\xbb\xbf{}", "expected a value", 0),
        (b"[1,]", "expected a value", 3),
        (b"[1 2]", "expected , or ]", 3),
        (b"[1", "expected , or ]", 2),
        (b'{"a" 1}', "expected :", 5),
        (b'{"a":1,}', "expected a key", 7),
        (b"{a:1}", "expected a key", 1),
        (b'{"a":1 "b":2}', "expected , or }", 7),
        (b'[{"a":1,"b":2,"a":3}]', 'the key "a" twice', 1),
        (b'{"a":1,"\\u0061":3}', 'the key "a" twice', 0),
        (b"1 2", "end of the text", 2),
        (b"01", "begins with 0", 0),
        (b"-01", "begins with 0", 1),
        (b"-", "expected a digit", 1),
        (b"+1", "expected a value", 0),
        (b".5", "expected a value", 0),
        (b"1.", "after the point", 2),
        (b"1e", "in the exponent", 2),
        (b"1e400", "float64", 0),
        (b"NaN", "expected a value", 0),
        (b"Infinity", "expected a value", 0),
        (b"tru", "expected a value", 0),
        (b"truex", "end of the text", 4),
        (b"'a'", "expected a value", 0),
        (b'"a', "end of a string", 2),
        (b'"a\nb"', "control character", 2),
        (b'"\\x"', "escape", 1),
        (b'"\\u12g4"', "four hexadecimal digits", 5),
        (b'"\\u12', "four hexadecimal digits", 5),
        (b'"\\ud800"', "surrogate", 1),
        (b'"\\ud800\\u0041"', "surrogate", 1),
        (b'"\\udc00"', "surrogate", 1),
        (b'"ab\xff"', "UTF-8", 3),
        (b'"\xed\xa0\x80"', "UTF-8", 1),
        (b"[1]//", "end of the text", 3),
    ],
)
def test_refusals(text, words, offset):
    refuses(text, words, offset)


def test_caps():
    assert parse(b"[" * 64 + b"]" * 64)
    for text, offset in ((b"[" * 65 + b"]" * 65, 64), (b'{"a":' * 100_000, 320)):
        with pytest.raises(LimitExceededError) as caught:
            parse(text)
        assert caught.value.details["offset"] == offset
    assert parse(b"[1,2]", values=3) == [1, 2]
    with pytest.raises(LimitExceededError):
        parse(b"[1,2,3]", values=3)


scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(scalars | texts, lambda v: st.lists(v) | st.dictionaries(texts, v), max_leaves=20)


@settings(max_examples=200, deadline=None)
@given(values, st.booleans(), st.sampled_from([None, 2]))
def test_what_python_writes_comes_back(value, ascii_only, indent):
    assert parse(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()) == value


def test_random_damage_raises_or_agrees_with_python():
    rng = random.Random()
    seed = rng.randrange(2**32)
    rng.seed(seed)
    whole = json.dumps({"a": [1, -2.5e3, "x\u00e9\n", True, None], "b": {"c": "\U0001f600", "d": []}}).encode()
    agreed = 0
    for _ in range(3000):
        text = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(text))
            text[at : at + rng.randrange(3)] = bytes(
                rng.choices(b'{}[]",:\\u0e19-. tn\xc3\xff\x00', k=rng.randrange(3))
            )
        try:
            got = parse(bytes(text))
        except ModelFormatError:
            continue
        agreed += 1
        assert got == json.loads(bytes(text)), f"seed {seed}: {bytes(text)!r}"
    assert agreed > 50


@pytest.mark.native
def test_a_large_text_takes_linear_time():
    """As a tokenizer.json: a quarter of a million keys, twice as many short lists. 1.2 s, 0.3 s of it parsing."""
    big = {"vocab": {f"token {i}": i for i in range(250_000)}, "merges": [[f"a{i}", f"b{i}"] for i in range(500_000)]}
    text = json.dumps(big, indent=1).encode()
    began = time.perf_counter()
    assert len(parse(text)["merges"]) == 500_000
    assert time.perf_counter() - began < 5
    assert len(text) > 20e6
