// The one way the core says no: an Error names the class of python/cutaway/errors.py to raise, what is wrong, and what
// to do about it. bind/module.cpp turns it into that class; nothing else crosses the language boundary.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace cutaway {

using Detail = std::variant<int64_t, uint64_t, double, bool, std::string>;
using Details = std::vector<std::pair<std::string, Detail>>;

struct Error : std::exception {
  std::string kind;     // a class name of cutaway.errors, e.g. "GGUFError"
  std::string message;  // who, what it got, what it expected and why
  std::string hint;     // one thing to do next; empty: the class's own hint
  Details details;      // plain values for programs to read

  Error(std::string kind, std::string message, std::string hint = "", Details details = {})
      : kind(std::move(kind)), message(std::move(message)), hint(std::move(hint)), details(std::move(details)) {}
  const char* what() const noexcept override { return message.c_str(); }
};

// An invariant of ours, never a check of somebody's data.
inline void invariant(bool holds, const char* what) {
  if (!holds) throw Error("InternalError", std::string("broken invariant: ") + what);
}

// A string from a file or a user as it may be printed: escaped, and cut at `most` bytes.
inline std::string printable(const std::string& text, size_t most = 80) {
  static const char* hex = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (out.size() >= most) return out + "...";
    unsigned char c = static_cast<unsigned char>(text[i]);
    if (c == '\\' || c == '"') out += {'\\', static_cast<char>(c)};
    else if (c == '\n') out += "\\n";
    else if (c < 0x20 || c == 0x7f) out += {'\\', 'x', hex[c >> 4], hex[c & 15]};
    else out += static_cast<char>(c);
  }
  return out;
}

}  // namespace cutaway
