// Code points: the few classes that pre-tokenisers ask for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/utf8.h"

namespace cutaway {

// The general categories that the patterns tell apart; N is Nd and Nl, P is without Pc, M, S and Z have no parts, and
// `white` is the property White_Space (\s). Up to there the numbers of unicode_table.cpp; `end` is what stands behind
// the last character.
enum class CharClass : uint8_t { other, Lu, Ll, Lt, Lm, Lo, M, N, No, Pc, P, S, white, end };

extern const uint8_t unicode_page[];   // unicode_table.cpp: page number of code point / 256
extern const uint8_t unicode_class[];  // CharClass of each code point of a page, and nfc_careful

// The character may change, or change its neighbours, in normal form C: it is no starter, decomposes, or composes with
// what stands before it.
constexpr uint8_t nfc_careful = 0x80;

inline uint8_t unicode_entry(char32_t code) { return unicode_class[unicode_page[code >> 8] * 256u + (code & 255)]; }
inline CharClass char_class(char32_t code) { return static_cast<CharClass>(unicode_entry(code) & ~nfc_careful); }

inline bool is_letter(CharClass c) { return c >= CharClass::Lu && c <= CharClass::Lo; }
inline bool is_number(CharClass c) { return c == CharClass::N || c == CharClass::No; }
inline bool is_punctuation(CharClass c) { return c == CharClass::P || c == CharClass::Pc; }
inline bool is_white(CharClass c) { return c == CharClass::white; }
// [^\s\p{L}\p{N}]
inline bool is_symbol(CharClass c) {
  return c == CharClass::other || c == CharClass::M || (c >= CharClass::Pc && c <= CharClass::S);
}

// \w : Alphabetic, M, Nd, Pc, Join_Control. What is Alphabetic beyond L, Nl and M are letters in circles and squares.
inline bool is_word(char32_t code) {
  const CharClass c = char_class(code);
  return is_letter(c) || c == CharClass::M || c == CharClass::N || c == CharClass::Pc || code == 0x200C ||
         code == 0x200D || (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
         (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189);
}

}  // namespace cutaway
