// Cursor: reads a header front to back, never past the end fixed when the file was opened, never more than is there.
// Every question "is there enough" is a subtraction from the end, so no number in the file can wrap it.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "load/open.h"

namespace cutaway {

class Cursor {
 public:
  static constexpr std::string_view limit_exceeded = "LimitExceededError";
  static constexpr std::string_view truncated = "TruncatedFileError";

  Cursor(const File::Handle& handle, const std::string& path, uint64_t cap)
      : handle_(handle), path_(path), cap_(cap), end_(std::min(handle.size, cap)) {}

  uint64_t pos() const { return pos_; }
  uint64_t left() const { return end_ - pos_; }
  const std::string& path() const { return path_; }

  // Every refusal of a reader: who, what, and the byte offset.
  [[noreturn]] void fail(std::string_view kind, uint64_t at, const std::string& message, std::string hint = "",
                         Details details = {}) const {
    details.push_back({"path", path_});
    details.push_back({"offset", at});
    for (const char* unfinished : {".part", ".incomplete", ".crdownload", ".tmp"})
      if (hint.empty() && kind == truncated && path_.ends_with(unfinished))
        hint = "its name says that the download did not finish";
    throw Error(std::string(kind), printable(path_, 400) + ": " + message + " (byte offset " + std::to_string(at) + ")",
                hint, details);
  }

  // Raises unless n more bytes are there.
  void need(uint64_t n, const char* what) const {
    if (n <= left()) return;
    uint64_t in_file = handle_.size - pos_;
    if (n <= in_file)
      fail(limit_exceeded, pos_,
           std::string(what) + ": " + std::to_string(n) + " bytes go past the cap on the header, " +
               std::to_string(cap_) + " bytes",
           "", {{"limit", std::string("header_bytes")}, {"value", cap_}});
    fail(truncated, pos_,
         std::string(what) + ": " + std::to_string(n) + " bytes expected, " + std::to_string(in_file) +
             " are left of the file's " + std::to_string(handle_.size),
         "", {{"missing", n - in_file}, {"have", handle_.size}});
  }

  template <typename T>
  T get(const char* what) {
    static_assert(std::is_arithmetic_v<T>);
    T value;
    need(sizeof value, what);
    take(&value, sizeof value);
    return value;
  }

  // A length-prefixed string; one longer than `cap` is refused as `kind`.
  std::string string(const char* what, uint64_t cap, std::string_view kind) {
    uint64_t at = pos_;
    auto n = get<uint64_t>(what);
    if (n > cap)
      fail(n > left() && kind == limit_exceeded ? truncated : kind, at,
           std::string(what) + " of " + std::to_string(n) + " bytes is longer than the cap of " + std::to_string(cap) +
               " bytes; the file has " + std::to_string(left()) + " left",
           "", {{"value", n}});
    need(n, what);
    std::string text(n, '\0');
    take(text.data(), n);
    return text;
  }

  // n bytes, of which need() has said that they are there.
  void take(void* out, uint64_t n) {
    auto* to = static_cast<char*>(out);
    while (n) {
      uint64_t ready = window_.size() - at_;
      if (ready == 0 && n >= window_bytes) {
        read_at(handle_, path_, pos_, n, to);
        pos_ += n;
        return;
      }
      if (ready == 0) {
        window_.resize(std::min<uint64_t>(window_bytes, left()));
        read_at(handle_, path_, pos_, window_.size(), window_.data());
        at_ = 0;
        ready = window_.size();
      }
      uint64_t k = std::min(n, ready);
      std::memcpy(to, window_.data() + at_, k);
      to += k, at_ += k, pos_ += k, n -= k;
    }
  }

 private:
  static constexpr uint64_t window_bytes = 256 * 1024;
  const File::Handle& handle_;
  const std::string& path_;
  uint64_t cap_, end_, pos_ = 0;
  std::vector<char> window_;  // bytes of the file from pos_ - at_ on
  uint64_t at_ = 0;
};

}  // namespace cutaway
