#include "text/nfc.h"

#include <algorithm>
#include <vector>

#include "text/unicode.h"

namespace cutaway {
namespace {

// Hangul syllables are made of a leading consonant, a vowel and perhaps a final consonant by a formula (section 3.12).
constexpr char32_t syllables = 0xAC00, leads = 0x1100, vowels = 0x1161, finals = 0x11A7;
constexpr char32_t lead_count = 19, vowel_count = 21, final_count = 28;
constexpr char32_t syllable_count = lead_count * vowel_count * final_count;

struct Char {
  char32_t code;
  uint8_t order;  // canonical combining class; 0: a starter
};

uint8_t combining_class(char32_t code) {
  if (code < 0x300) return 0;
  const auto* end = nfc_combining + nfc_combinings;
  const auto* it = std::partition_point(nfc_combining, end, [&](const uint32_t(&range)[3]) { return range[1] < code; });
  return it != end && (*it)[0] <= code ? static_cast<uint8_t>((*it)[2]) : 0;
}

// Into starters and marks that decompose no further. The table's first parts decompose again, three deep at most.
void decompose(char32_t code, std::vector<Char>& out) {
  if (code >= syllables && code < syllables + syllable_count) {
    const char32_t index = code - syllables;
    out.push_back({leads + index / (vowel_count * final_count), 0});
    out.push_back({vowels + index / final_count % vowel_count, 0});
    if (index % final_count != 0) out.push_back({finals + index % final_count, 0});
    return;
  }
  const auto* end = nfc_decomposition + nfc_decompositions;
  const auto* it =
      std::partition_point(nfc_decomposition, end, [&](const uint32_t(&entry)[3]) { return entry[0] < code; });
  if (it == end || (*it)[0] != code) {
    out.push_back({code, combining_class(code)});
    return;
  }
  decompose((*it)[1], out);
  if ((*it)[2] != 0) decompose((*it)[2], out);
}

// 0: they stay apart.
char32_t compose(char32_t first, char32_t second) {
  if (first >= leads && first < leads + lead_count && second >= vowels && second < vowels + vowel_count)
    return syllables + ((first - leads) * vowel_count + (second - vowels)) * final_count;
  if (first >= syllables && first < syllables + syllable_count && (first - syllables) % final_count == 0 &&
      second > finals && second < finals + final_count)
    return first + (second - finals);
  const auto* end = nfc_composition + nfc_compositions;
  const auto* it = std::partition_point(nfc_composition, end, [&](const uint32_t(&entry)[3]) {
    return entry[0] != first ? entry[0] < first : entry[1] < second;
  });
  return it != end && (*it)[0] == first && (*it)[1] == second ? (*it)[2] : 0;
}

// Marks between starters in the order of their classes, then each with the last starter where nothing stands between.
void put_in_order_and_compose(std::vector<Char>& chars) {
  for (auto from = chars.begin(); from != chars.end();) {
    const auto marks = std::find_if(from, chars.end(), [](const Char& c) { return c.order != 0; });
    const auto end = std::find_if(marks, chars.end(), [](const Char& c) { return c.order == 0; });
    std::stable_sort(marks, end, [](const Char& a, const Char& b) { return a.order < b.order; });
    from = end;
  }
  size_t kept = 0, starter = chars.size();  // index of the last starter among those kept; size(): none yet
  for (size_t i = 0; i < chars.size(); ++i) {
    const Char c = chars[i];
    if (starter < kept) {
      // The characters kept since the starter are marks of rising class; one of c's class or above blocks it.
      const bool blocked = kept - starter > 1 && chars[kept - 1].order >= c.order;
      if (const char32_t joined = blocked ? 0 : compose(chars[starter].code, c.code)) {
        chars[starter].code = joined;
        continue;
      }
    }
    if (c.order == 0) starter = kept;
    chars[kept++] = c;
  }
  chars.resize(kept);
}

}  // namespace

std::string to_nfc(std::string_view text) {
  std::string out;
  std::vector<Char> chars;
  size_t copied = 0, last = 0;  // bytes of text that are in `out`; index of the last character
  for (size_t at = 0; at < text.size();) {
    Utf8Char c = decode_utf8(text, at);
    if ((unicode_entry(c.code) & nfc_careful) == 0) {
      last = at;
      at += c.bytes;
      continue;
    }
    // A starter that nothing before it changes begins the part that may change; it ends where the next such begins.
    out.append(text, copied, last - copied);
    chars.clear();
    if (last < at) decompose(decode_utf8(text, last).code, chars);
    for (; c.bytes != 0 && (unicode_entry(c.code) & nfc_careful) != 0; c = decode_utf8(text, at)) {
      decompose(c.code, chars);
      at += c.bytes;
    }
    put_in_order_and_compose(chars);
    for (const Char& ready : chars) append_utf8(ready.code, out);
    copied = last = at;
  }
  out.append(text, copied);
  return out;
}

}  // namespace cutaway
