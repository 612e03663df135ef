"""Normal form C against Python's, and the classes that added tokens ask for."""

import random
import sys
import unicodedata

from cutaway import _core

MARKS = "\u0301\u0300\u0308\u0323\u0327\u0338\u1161\u1175\u11a8\u11c2\u0b3e\u3099\u309a\u05b4\u05bc\U0001d165\U0001d16e"
LETTERS = "eoacnACZéǕṩ\u212b\u2126\u0958\u0344\u1100\u1112가각\u0b47かハשx \u03b9\U0001d15e\U000110ba\u0f73\u0344"


def test_every_character():
    """Alone, and between a letter and marks. Characters that this Python does not know are left out."""
    for code in range(sys.maxunicode + 1):
        c = chr(code)
        if unicodedata.category(c) in ("Cn", "Cs"):
            continue
        for text in (c, f"e{c}\u0301\u0323"):
            assert _core.nfc(text).decode() == unicodedata.normalize("NFC", text), hex(code)


def test_random_texts():
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(30_000):
        text = "".join(rng.choices(LETTERS + MARKS * 2, k=rng.randrange(9)))
        assert _core.nfc(text).decode() == unicodedata.normalize("NFC", text), (seed, ascii(text))


def test_a_megabyte_of_marks():
    """In order of n log n. Python's own takes the square."""
    n = 250_000
    for text, want in (
        ("\u0301" * n, "\u0301" * n),
        ("\u0301\u0323" * n, "\u0323" * n + "\u0301" * n),
        ("e" + "\u0301\u0323" * n, "\u1eb9" + "\u0323" * (n - 1) + "\u0301" * n),
        ("\u1161" * n, "\u1161" * n),
    ):
        same = _core.nfc(text).decode() == want  # outside the assertion, which would print both
        assert same, ascii(text[:4])


def test_letters_of_words():
    """As Python's isalnum(), which leaves marks, connectors and joiners out and takes more numbers in."""
    for code in range(sys.maxunicode + 1):
        c = chr(code)
        category = unicodedata.category(c)
        if category == "Cn" or 0x24B6 <= code <= 0x24E9 or 0x1F130 <= code <= 0x1F189:
            continue
        want = category[0] == "M" or category == "Pc" or code in (0x200C, 0x200D)
        want = want or (c.isalnum() and category != "No")
        assert _core.is_word(code) == want, hex(code)
    assert _core.is_word(0x24B6) and _core.is_word(0x1F130) and not _core.is_word(0x1F14A)
