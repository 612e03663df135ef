// Stop strings, matched on bytes as they stream by, across the borders of tokens and of characters.
//
// Gives out every byte as soon as it cannot be the beginning of a stop string, and nothing from the first match on.
// First is the match that ends first; where several end together, the longest of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cutaway {

class StopMatcher {
 public:
  // Raises ArgumentError for an empty stop string or one above 64 KiB.
  explicit StopMatcher(std::vector<std::string> stops);

  std::string push(std::string_view bytes);  // what is safe to emit now; nothing after a match
  std::string flush();                       // the end of the text without a match: what was held back
  int matched() const { return matched_; }   // index of the stop string that matched, or -1

 private:
  struct Stop {
    std::string text;
    std::vector<uint32_t> border;  // [text length], longest proper prefix of text[0..i] that is also its suffix
    size_t state = 0;              // bytes of text that the stream's end agrees with
  };
  std::vector<Stop> stops_;
  std::string held_;  // the longest end of the stream that begins a stop string
  int matched_ = -1;
};

}  // namespace cutaway
