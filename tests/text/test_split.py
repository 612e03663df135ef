"""Pre-tokenisers: scanners against pieces worked out by hand, and against the published patterns run by an engine."""

import random
import sys
import unicodedata

import pytest
from cutaway import _core
from cutaway.errors import InvalidUtf8, UnsupportedModelError
from hypothesis import given, settings
from hypothesis import strategies as st
from text.vocabularies import VOCAB

PRES = ["gpt-2", "smollm", "llama-bpe", "qwen2", "gpt-4o", "qwen35", "tekken", "deepseek-v3", "deepseek-llm"]
PRES += ["deepseek-coder"]


def split(pre, text):
    return [piece.decode() for piece in _core.split(pre, text)]


@pytest.mark.parametrize(
    "pre, text, pieces",
    [
        ("gpt-2", "Hello  world's  ", ["Hello", " ", " world", "'s", "  "]),
        ("gpt-2", "I'LL", ["I", "'", "LL"]),  # lower case only
        ("gpt-2", "a 123 !?\n\nb", ["a", " 123", " !?", "\n", "\n", "b"]),
        ("gpt-2", "x\u00a0\u2003y", ["x", "\u00a0", "\u2003", "y"]),
        ("smollm", "a  12 b3", ["a", "  ", "1", "2", " b", "3"]),  # the digits stand outside: both blanks are one piece
        ("smollm", "½Ⅷ²", ["½", "Ⅷ", "²"]),
        ("llama-bpe", "I'LL 12345!\n\n x", ["I", "'LL", " ", "123", "45", "!\n\n", " x"]),
        ("llama-bpe", "\tfoo(bar)", ["\tfoo", "(bar", ")"]),
        ("llama-bpe", "a \n \n  b", ["a", " \n \n", " ", " b"]),
        ("llama-bpe", "it'ſ", ["it", "'ſ"]),  # the long s is an s without case
        ("qwen2", "123", ["1", "2", "3"]),
        ("gpt-4o", "helloWorld HTTPServer's", ["hello", "World", " HTTPServer's"]),
        ("gpt-4o", "don't DON'T", ["don't", " DON'T"]),
        ("gpt-4o", "日本A", ["日本", "A"]),  # the first alternative gives back until a neutral letter ends it
        ("gpt-4o", "e\u0301te\u0301", ["e\u0301te\u0301"]),  # marks belong to words
        ("gpt-4o", "\u0301A", ["\u0301", "A"]),
        ("gpt-4o", "a//\n/b", ["a", "//\n/", "b"]),
        ("qwen2", "a\u0301b", ["a", "\u0301b"]),
        ("qwen35", "a\u0301b \u0301", ["a\u0301b", " \u0301"]),
        ("tekken", "don't DON'T 12", ["don", "'t", " DON", "'T", " ", "1", "2"]),
        ("deepseek-v3", "x 12345日本go", ["x", " ", "123", "45", "日本", "go"]),
        ("deepseek-v3", "a.b (c) \x07\x07d", ["a", ".b", " (", "c", ")", " ", "\x07", "\x07d"]),
        ("deepseek-v3", "!\n\n  e\u0301", ["!\n\n", " ", " e\u0301"]),
        ("deepseek-llm", "Ab Zé日 12\n  ", ["Ab", " Z", "é", "日", " ", "1", "2", "\n", "  "]),
        ("deepseek-llm", "ab, !\n", ["ab", ",", " !", "\n"]),
        ("deepseek-llm", "Übung", ["Ü", "bung"]),  # the symbols' pattern has ASCII letters, and cuts inside words
        ("deepseek-coder", "Übung日 $1", ["Übung日"[:5], "日", " $", "1"]),
    ],
)
def test_pieces(pre, text, pieces):
    assert split(pre, text) == pieces


@pytest.mark.parametrize("pre", PRES)
@settings(max_examples=300, deadline=None, derandomize=True)
@given(text=st.text(max_size=60))
def test_every_character_is_in_exactly_one_piece(pre, text):
    pieces = split(pre, text)
    assert "".join(pieces) == text and all(pieces)


def test_classes_are_those_of_unicode():
    """Code points that this Python's table does not know are left out; a handful moved between versions."""
    names = ["other", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "N", "No", "Pc", "P", "S", "white"]
    differ = []
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category == "Cn":
            continue
        white = category[0] == "Z" or code == 0x85 or 9 <= code <= 13
        want = "white" if white else category if category in names else category[0] if category[0] in names else "other"
        if names[_core.char_class(code)] != want:
            differ.append(hex(code))
    assert len(differ) <= 4, differ  # 1 against Python 3.11's Unicode 14: U+0295 became Lo


def test_unknown_pre_tokeniser_and_bad_text():
    with pytest.raises(UnsupportedModelError, match="known are gpt-2, .*smollm"):
        _core.split("(a+)+$", "aaa")
    with pytest.raises(InvalidUtf8) as caught:
        _core.split("gpt-2", b"ab\xff")
    assert caught.value.details["index"] == 2


CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN35 = (
    LLAMA3.replace("{1,3}", "").replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"^\s\p{L}\p{N}", r"^\s\p{L}\p{M}\p{N}")
)
TEKKEN = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
        r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ]
)
O200K = TEKKEN.replace("+|[^", f"+{CONTRACTION}?|[^").replace(r"*|\p{N}|", rf"*{CONTRACTION}?|\p{{N}}{{1,3}}|")
DEEPSEEK3 = "".join(  # in its tokenizer.json the line ends stand as they are
    [
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+""",
        r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ]
).replace(r"\r\n", "\r\n")
CASED = (VOCAB / "deepseek-cased.txt").read_text(encoding="utf-8")
HANGUL_HAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
PATTERNS = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [LLAMA3],
    "qwen2": [LLAMA3.replace("{1,3}", "")],
    "qwen35": [QWEN35],
    "gpt-4o": [O200K],
    "tekken": [TEKKEN],
    "deepseek-v3": [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", DEEPSEEK3],
    "deepseek-llm": [
        "[\r\n]",
        rf"\s?[{CASED}]+",
        "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
        r"\s+$",
        HANGUL_HAN,
        r"\p{N}",
    ],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", HANGUL_HAN, r"\p{N}"],
}


@pytest.mark.parametrize("pre", PRES)
def test_scanners_agree_with_the_patterns_run_by_oniguruma(pre):
    tokenizers = pytest.importorskip("tokenizers", reason="needs the extra test: pip install tokenizers")
    pt, regex = tokenizers.pre_tokenizers, tokenizers.Regex
    witness = pt.Sequence([pt.Split(regex(pattern), "isolated") for pattern in PATTERNS[pre]])
    letters = " \t\n\r  '''sStTrReEvVmMlLdDſKaAzZéÉǅʰ日ªĀ12９²Ⅷ½!?/.,…_🦙🏽"
    letters += "Жш\u1fbe\u212aａ！　。‘"
    letters += "\x00\x1c\u0301\u0903\u20dd\u00a0\u2003\u0085\u2028\u200b\u200d"
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(3000):
        text = "".join(rng.choices(letters, k=rng.randrange(1, 14)))
        assert split(pre, text) == [piece for piece, _ in witness.pre_tokenize_str(text)], (seed, ascii(text))
