// Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cutaway {

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

void append_utf8(char32_t code, std::string& out);

}  // namespace cutaway
