// Code points: strict UTF-8 and the few classes that pre-tokenisers ask for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

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

// What a first byte promises: the length of its character, and the range its second byte must lie in, which is what
// keeps out overlong forms, surrogates and everything above U+10FFFF (Unicode, table 3-7). length 0: no first byte.
struct Utf8Lead {
  int length;
  uint8_t low, high;
};
Utf8Lead utf8_lead(uint8_t byte);

struct Utf8Char {
  char32_t code = 0;
  uint32_t bytes = 0;  // 0: ill-formed here, or the end
};
Utf8Char decode_utf8(std::string_view text, size_t at);

// Index of the first byte that begins no well-formed character; npos when all is well.
size_t find_invalid_utf8(std::string_view text);

}  // namespace cutaway
