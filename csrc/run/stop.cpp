#include "run/stop.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace cutaway {
namespace {

constexpr size_t most_bytes = 65536;

// Knuth, Morris, Pratt 1977: a mismatch goes on with the longest border, so each byte is looked at twice at most.
size_t step(const std::string& text, const std::vector<uint32_t>& border, size_t state, char byte) {
  while (state > 0 && (state == text.size() || text[state] != byte)) state = border[state - 1];
  return text[state] == byte ? state + 1 : 0;
}

}  // namespace

StopMatcher::StopMatcher(std::vector<std::string> stops) {
  for (std::string& text : stops) {
    if (text.empty() || text.size() > most_bytes)
      throw Error("ArgumentError",
                  "stop[" + std::to_string(stops_.size()) + "] has " + std::to_string(text.size()) +
                      " bytes, expected 1 to " + std::to_string(most_bytes),
                  "leave an empty stop string away; stop on an id or cut the text afterwards for a long one");
    std::vector<uint32_t> border(text.size(), 0);
    for (size_t i = 1; i < text.size(); ++i)
      border[i] = static_cast<uint32_t>(step(text, border, border[i - 1], text[i]));
    stops_.push_back({.text = std::move(text), .border = std::move(border)});
  }
}

std::string StopMatcher::push(std::string_view bytes) {
  if (matched_ >= 0) return "";
  size_t hold = 0;
  for (size_t at = 0; at < bytes.size(); ++at) {
    hold = 0;
    for (size_t i = 0; i < stops_.size(); ++i) {
      Stop& stop = stops_[i];
      stop.state = step(stop.text, stop.border, stop.state, bytes[at]);
      if (stop.state == stop.text.size() &&
          (matched_ < 0 || stop.text.size() > stops_[static_cast<size_t>(matched_)].text.size()))
        matched_ = static_cast<int>(i);
      hold = std::max(hold, stop.state);
    }
    if (matched_ >= 0) {
      std::string out = std::move(held_);
      out.append(bytes.substr(0, at + 1));
      out.resize(out.size() - stops_[static_cast<size_t>(matched_)].text.size());
      held_.clear();
      return out;
    }
  }
  if (bytes.empty()) return "";
  std::string out = std::move(held_);
  out.append(bytes);
  held_ = out.substr(out.size() - hold);
  out.resize(out.size() - hold);
  return out;
}

std::string StopMatcher::flush() {
  for (Stop& stop : stops_) stop.state = 0;
  return std::exchange(held_, std::string());
}

}  // namespace cutaway
