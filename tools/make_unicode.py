"""Writes csrc/text/unicode_table.cpp: the class of every code point, as a two-stage table.

    python tools/make_unicode.py > csrc/text/unicode_table.cpp

Uses the package `unicodedata2` when it is installed (its tables are newer than most Pythons'), else `unicodedata`. The
version ends up in the file. `\\s` is White_Space, which unicodedata does not carry: the separators (Zs, Zl, Zp), U+0009
to U+000D and U+0085 (Unicode Character Database, PropList.txt).
"""

try:
    import unicodedata2 as unicodedata
except ImportError:
    import unicodedata

PAGE = 256
# In the order of CharClass in csrc/text/unicode.h.
CLASSES = ["other", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "N", "white"]


def char_class(code: int) -> int:
    category = unicodedata.category(chr(code))
    if 0x9 <= code <= 0xD or code == 0x85 or category[0] == "Z":
        return CLASSES.index("white")
    if category in CLASSES:
        return CLASSES.index(category)
    return CLASSES.index(category[0]) if category[0] in CLASSES else 0


def rows(values: list[int], per_line: int) -> str:
    lines = (values[i : i + per_line] for i in range(0, len(values), per_line))
    return "\n".join("    " + ",".join(map(str, line)) + "," for line in lines)


def main() -> None:
    pages: list[tuple[int, ...]] = []
    index: list[int] = []
    for start in range(0, 0x110000, PAGE):
        page = tuple(char_class(code) for code in range(start, start + PAGE))
        if page not in pages:
            pages.append(page)
        index.append(pages.index(page))
    assert len(pages) <= 256
    print(f"""\
// Written by tools/make_unicode.py from Unicode {unicodedata.unidata_version}; do not edit.
#include "text/unicode.h"

// clang-format off
namespace cutaway {{

// Page number of every {PAGE} code points.
const uint8_t unicode_page[{len(index)}] = {{
{rows(index, 32)}
}};

// CharClass of each of their code points: {", ".join(f"{i} {c}" for i, c in enumerate(CLASSES))}.
const uint8_t unicode_class[{len(pages)} * {PAGE}] = {{
{rows([value for page in pages for value in page], 56)}
}};

}}  // namespace cutaway""")


main()
