// Utf8Stream: bytes in, whole characters out. Whatever the cuts, the outputs join up to what decoding all bytes at once
// would give, with one U+FFFD for every maximal ill-formed part (Unicode, section 3.9; Python's errors="replace").
#pragma once

#include <string>
#include <string_view>

namespace cutaway {

class Utf8Stream {
 public:
  std::string push(std::string_view bytes);  // the characters that are complete, and no more
  std::string flush();                       // U+FFFD if a character was cut short, else nothing; then as new
  const std::string& pending() const { return held_; }

 private:
  std::string held_;  // a well-formed beginning of one character, at most three bytes
};

}  // namespace cutaway
