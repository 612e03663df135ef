#include "text/utf8_stream.h"

#include "text/unicode.h"

namespace cutaway {

static const char replacement[] = "\xEF\xBF\xBD";

std::string Utf8Stream::push(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + held_.size());
  for (char c : bytes) {
    const uint8_t byte = static_cast<uint8_t>(c);
    if (!held_.empty()) {
      const Utf8Lead lead = utf8_lead(static_cast<uint8_t>(held_[0]));
      const bool second = held_.size() == 1;
      if (byte >= (second ? lead.low : 0x80) && byte <= (second ? lead.high : 0xBF)) {
        held_ += c;
        if (held_.size() == static_cast<size_t>(lead.length)) {
          out += held_;
          held_.clear();
        }
        continue;
      }
      out += replacement;  // what was held ends here; this byte starts afresh
      held_.clear();
    }
    const int length = utf8_lead(byte).length;
    if (length == 1) out += c;
    else if (length == 0) out += replacement;
    else held_ = c;
  }
  return out;
}

std::string Utf8Stream::flush() {
  const bool cut = !held_.empty();
  held_.clear();
  return cut ? replacement : "";
}

}  // namespace cutaway
