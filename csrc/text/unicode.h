// Code points: the few classes that pre-tokenisers ask for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/utf8.h"

namespace cutaway {

// The general categories that the patterns tell apart; `white` is the property White_Space (\s). The first nine are the
// numbers in unicode_table.cpp; `end` is what stands behind the last character.
enum class CharClass : uint8_t { other, Lu, Ll, Lt, Lm, Lo, M, N, white, end };

extern const uint8_t unicode_page[];   // unicode_table.cpp: page number of code point / 256
extern const uint8_t unicode_class[];  // CharClass of each code point of a page

inline CharClass char_class(char32_t code) {
  return static_cast<CharClass>(unicode_class[unicode_page[code >> 8] * 256u + (code & 255)]);
}

inline bool is_letter(CharClass c) { return c >= CharClass::Lu && c <= CharClass::Lo; }
inline bool is_number(CharClass c) { return c == CharClass::N; }
inline bool is_white(CharClass c) { return c == CharClass::white; }
// [^\s\p{L}\p{N}]
inline bool is_symbol(CharClass c) { return c == CharClass::other || c == CharClass::M; }

}  // namespace cutaway
