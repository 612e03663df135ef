// Added tokens: texts that are cut out of the input before anything else happens to it, the leftmost and of those the
// longest. With the flags that tokenizer.json gives them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cutaway {

struct AddedToken {
  std::string text;  // never empty
  int32_t id;
  bool special = false;      // found only when special tokens are asked for
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and that behind it
  bool single_word = false;  // not found within a word
};

class AddedTokens {
 public:
  AddedTokens() = default;
  // `bars`: a blank of the text stands for U+2581, which is no white space.
  explicit AddedTokens(std::vector<AddedToken> tokens, bool bars = false);

  bool empty() const { return tokens_.empty(); }
  int32_t find(std::string_view text) const;  // -1: none reads so
  const std::vector<AddedToken>& tokens() const { return tokens_; }

  // Calls stretch(text, at) for what lies between added tokens, with its index in `text`, and token(id) for these, from
  // left to right. No stretch is empty.
  template <class Stretch, class Token>
  void cut(std::string_view text, bool parse_special, Stretch stretch, Token token) const {
    size_t from = 0, white_end = 0;
    for (size_t at = 0; !tokens_.empty() && at < text.size();) {
      const AddedToken* found = longest_at(text, at, parse_special);
      if (!found) {
        ++at;
        continue;
      }
      size_t begin = at, end = at += found->text.size();
      if (found->single_word && within_word(text, begin, end)) continue;
      if (found->lstrip) begin = white_before(text, from, begin);
      // The run of white space found last is not looked through again, should a token stand within it.
      if (found->rstrip) end = white_end = end < white_end ? white_end : white_after(text, end);
      if (from < begin) stretch(text.substr(from, begin - from), from);
      if (begin < end) token(found->id);  // else another took all of it along
      from = end;
    }
    if (from < text.size()) stretch(text.substr(from), from);
  }

 private:
  const AddedToken* longest_at(std::string_view text, size_t at, bool parse_special) const;
  static bool within_word(std::string_view text, size_t begin, size_t end);
  bool white_at(std::string_view text, size_t at) const;
  size_t white_before(std::string_view text, size_t from, size_t at) const;
  size_t white_after(std::string_view text, size_t at) const;

  std::vector<AddedToken> tokens_;  // sorted by text
  bool bars_ = false;
  bool begins_[2][256] = {};  // [parse_special][byte]: one that may be found begins with it
};

}  // namespace cutaway
