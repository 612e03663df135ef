"""Writes the tables of csrc/text: the class of every code point, and what NFC needs.

    python tools/make_unicode.py classes > csrc/text/unicode_table.cpp
    python tools/make_unicode.py nfc > csrc/text/nfc_table.cpp

Uses the package `unicodedata2` when it is installed (its tables are newer than most Pythons'), else `unicodedata`. The
version ends up in the file. `\\s` is White_Space, which unicodedata does not carry: the separators (Zs, Zl, Zp), U+0009
to U+000D and U+0085 (Unicode Character Database, PropList.txt).
"""

import sys

try:
    import unicodedata2 as unicodedata
except ImportError:
    import unicodedata

PAGE = 256
# In the order of CharClass in csrc/text/unicode.h.
CLASSES = ["other", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "N", "No", "Pc", "P", "S", "white"]
NFC_CAREFUL = 0x80  # added to the class: the character may change, or change its neighbours, under NFC


def char_class(code: int) -> int:
    category = unicodedata.category(chr(code))
    if 0x9 <= code <= 0xD or code == 0x85 or category[0] == "Z":
        return CLASSES.index("white")
    if category in CLASSES:
        return CLASSES.index(category)
    return CLASSES.index(category[0]) if category[0] in CLASSES else 0


def decompositions() -> dict[int, tuple[int, ...]]:
    """Canonical ones, one step deep: one or two code points. Hangul syllables, which a formula takes apart, are not."""
    out = {}
    for code in range(0x110000):
        text = unicodedata.decomposition(chr(code))
        if text and not text.startswith("<") and not 0xAC00 <= code < 0xD7A4:
            out[code] = tuple(int(part, 16) for part in text.split())
    return out


def compositions(canonical: dict[int, tuple[int, ...]]) -> dict[tuple[int, ...], int]:
    """Pairs that NFC joins: those that decompose so, less the exclusions, which NFC leaves apart."""
    return {
        parts: code
        for code, parts in canonical.items()
        if len(parts) == 2 and unicodedata.normalize("NFC", chr(code)) == chr(code)
    }


def careful() -> set[int]:
    """Characters that are not both starters and left alone by NFC whatever stands before them."""
    seconds = {pair[1] for pair in compositions(decompositions())}
    jamo = {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}  # vowels and final consonants
    return {
        code
        for code in range(0x110000)
        if unicodedata.combining(chr(code))
        or code in seconds
        or code in jamo
        or (not 0xD800 <= code < 0xE000 and unicodedata.normalize("NFC", chr(code)) != chr(code))
    }


def rows(values: list[int], per_line: int, form: str = "{}") -> str:
    lines = (values[i : i + per_line] for i in range(0, len(values), per_line))
    return "\n".join("    " + ",".join(form.format(value) for value in line) + "," for line in lines)


def classes() -> str:
    special = careful()
    pages: list[tuple[int, ...]] = []
    index: list[int] = []
    for start in range(0, 0x110000, PAGE):
        page = tuple(char_class(code) + NFC_CAREFUL * (code in special) for code in range(start, start + PAGE))
        if page not in pages:
            pages.append(page)
        index.append(pages.index(page))
    assert len(pages) <= 256
    return f"""\
// Page number of every {PAGE} code points.
const uint8_t unicode_page[{len(index)}] = {{
{rows(index, 32)}
}};

// CharClass of each of their code points: {", ".join(f"{i} {c}" for i, c in enumerate(CLASSES))};
// {NFC_CAREFUL} more where NFC has to look closely.
const uint8_t unicode_class[{len(pages)} * {PAGE}] = {{
{rows([value for page in pages for value in page], 40)}
}};
"""


def nfc() -> str:
    canonical = decompositions()
    combining = [(code, unicodedata.combining(chr(code))) for code in range(0x110000)]
    ranges: list[list[int]] = []  # first, last, class
    for code, order in combining:
        if order and ranges and ranges[-1][1:] == [code - 1, order]:
            ranges[-1][1] = code
        elif order:
            ranges.append([code, code, order])
    split = [(code, parts[0], parts[1] if len(parts) == 2 else 0) for code, parts in sorted(canonical.items())]
    joined = [(*pair, code) for pair, code in sorted(compositions(canonical).items())]

    def table(name: str, entries: list) -> str:
        flat = [value for entry in entries for value in entry]
        body = rows(flat, 15, "0x{:X}")
        return f"const uint32_t {name}[][3] = {{\n{body}\n}};\nconst size_t {name}s = {len(entries)};\n"

    return f"""\
// First and last code point, canonical combining class.
{table("nfc_combining", ranges)}
// Code point, what it decomposes into in one step (0: nothing second).
{table("nfc_decomposition", split)}
// First, second, what the two compose into; sorted by first, then second.
{table("nfc_composition", joined)}"""


HEADERS = {"classes": "text/unicode.h", "nfc": "text/nfc.h"}


def main() -> None:
    what = sys.argv[1]
    body = {"classes": classes, "nfc": nfc}[what]()
    print(f"""\
// Written by tools/make_unicode.py from Unicode {unicodedata.unidata_version}; do not edit.
#include "{HEADERS[what]}"

// clang-format off
namespace cutaway {{

{body}
}}  // namespace cutaway""")


main()
