#include "text/added.h"

#include <utility>

#include "text/unicode.h"

namespace cutaway {
namespace {

// Index of the character that ends before text[at]; at > 0.
size_t before(std::string_view text, size_t at) {
  do --at;
  while ((static_cast<uint8_t>(text[at]) & 0xC0) == 0x80);
  return at;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, bool bars) : tokens_(std::move(tokens)), bars_(bars) {
  std::sort(tokens_.begin(), tokens_.end(), [](const AddedToken& a, const AddedToken& b) { return a.text < b.text; });
  for (const AddedToken& token : tokens_) {
    const uint8_t first = static_cast<uint8_t>(token.text[0]);
    begins_[true][first] = true;
    if (!token.special) begins_[false][first] = true;
  }
}

int32_t AddedTokens::find(std::string_view text) const {
  const auto it = std::lower_bound(tokens_.begin(), tokens_.end(), text,
                                   [](const AddedToken& token, std::string_view t) { return token.text < t; });
  return it != tokens_.end() && it->text == text ? it->id : -1;
}

// The longest token that text[at..] begins with, or null. tokens_ is sorted, so those that share a prefix stand
// together, the shortest first: each byte narrows [low, high).
const AddedToken* AddedTokens::longest_at(std::string_view text, size_t at, bool parse_special) const {
  if (!begins_[parse_special][static_cast<uint8_t>(text[at])]) return nullptr;
  const AddedToken* best = nullptr;
  auto low = tokens_.begin(), high = tokens_.end();
  for (size_t depth = 0; low != high; ++depth) {
    if (low->text.size() == depth) {
      if (parse_special || !low->special) best = &*low;
      if (++low == high) break;
    }
    if (at + depth == text.size()) break;
    const auto byte = [&](const AddedToken& token) { return static_cast<uint8_t>(token.text[depth]); };
    const uint8_t wanted = static_cast<uint8_t>(text[at + depth]);
    low = std::partition_point(low, high, [&](const AddedToken& token) { return byte(token) < wanted; });
    high = std::partition_point(low, high, [&](const AddedToken& token) { return byte(token) == wanted; });
  }
  return best;
}

bool AddedTokens::within_word(std::string_view text, size_t begin, size_t end) {
  return (begin > 0 && is_word(decode_utf8(text, before(text, begin)).code)) ||
         (end < text.size() && is_word(decode_utf8(text, end).code));
}

bool AddedTokens::white_at(std::string_view text, size_t at) const {
  const Utf8Char c = decode_utf8(text, at);
  return c.bytes != 0 && is_white(char_class(c.code)) && !(bars_ && c.code == ' ');
}

size_t AddedTokens::white_before(std::string_view text, size_t from, size_t at) const {
  while (at > from && white_at(text, before(text, at))) at = before(text, at);
  return std::max(at, from);
}

size_t AddedTokens::white_after(std::string_view text, size_t at) const {
  while (white_at(text, at)) at += decode_utf8(text, at).bytes;
  return at;
}

}  // namespace cutaway
