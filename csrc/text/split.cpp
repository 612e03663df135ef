#include "text/split.h"

#include <algorithm>

#include "text/unicode.h"

namespace cutaway {
namespace {

// The character at a place of the text.
struct At {
  char32_t code;
  CharClass kind;  // end: behind the last character
  size_t next;     // index of the character after it
};

At look(std::string_view text, size_t at) {
  const Utf8Char c = decode_utf8(text, at);
  if (c.bytes == 0) return {0, CharClass::end, at};
  return {c.code, char_class(c.code), at + c.bytes};
}

// Index of the character that ends before text[at]; at > 0.
size_t before(std::string_view text, size_t at) {
  do --at;
  while ((static_cast<uint8_t>(text[at]) & 0xC0) == 0x80);
  return at;
}

bool is_newline(char32_t code) { return code == '\r' || code == '\n'; }

// Index after the run of characters from `at` on that `holds` accepts, at most `most` of them.
template <class Holds>
size_t run(std::string_view text, size_t at, Holds holds, size_t most = size_t(-1)) {
  for (At c = look(text, at); most-- > 0 && c.kind != CharClass::end && holds(c); c = look(text, at)) at = c.next;
  return at;
}

bool letter(const At& c) { return is_letter(c.kind); }
bool number(const At& c) { return is_number(c.kind); }
bool symbol(const At& c) { return is_symbol(c.kind); }
bool mark(const At& c) { return c.kind == CharClass::M; }
bool newline(const At& c) { return is_newline(c.code); }

// 's|'t|'re|'ve|'m|'ll|'d: index after it, or `at`. With `any_case` as in (?i:...), where U+017F, the long s, is an s
// too.
size_t contraction(std::string_view text, size_t at, bool any_case) {
  if (text[at] != '\'') return at;
  const auto lower = [&](const At& c) -> char32_t {
    if (any_case && c.code >= 'A' && c.code <= 'Z') return c.code + 32;
    return any_case && c.code == 0x17F ? U's' : c.code;
  };
  const At one = look(text, at + 1);
  const char32_t first = lower(one);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return one.next;
  const At two = look(text, one.next);
  const char32_t second = lower(two);
  const bool found =
      (first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l');
  return found ? two.next : at;
}

// \s+(?!\S)|\s+ : a run of white space, less its last character when a word follows and that leaves something. With
// `newlines_first`, \s*[\r\n]+ comes before these: up to the run's last newline.
size_t white(std::string_view text, size_t at, bool newlines_first) {
  size_t last = at, after_newline = at, end = at;
  At c = look(text, at);
  for (; is_white(c.kind); c = look(text, end)) {
    last = end;
    end = c.next;
    if (is_newline(c.code)) after_newline = end;
  }
  if (newlines_first && after_newline > at) return after_newline;
  return c.kind == CharClass::end || last == at ? end : last;
}

// gpt2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t gpt2(std::string_view text, size_t at) {
  if (size_t end = contraction(text, at, false); end > at) return end;
  const size_t word = at + (text[at] == ' ');
  const At c = look(text, word);
  if (letter(c)) return run(text, word, letter);
  if (symbol(c)) return run(text, word, symbol);
  if (number(c)) return run(text, word, number);
  return white(text, at, false);
}

// llama3          (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
//                 \s*[\r\n]+|\s+(?!\S)|\s+
// llama3_digit    the same with \p{N} for \p{N}{1,3}
// llama3_digits   the same with \p{N}+
// llama3_marks    (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|
//                 ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
size_t llama3(std::string_view text, size_t at, size_t digits, bool marks) {
  const auto in_word = [&](const At& c) { return letter(c) || (marks && mark(c)); };
  const auto in_symbols = [&](const At& c) { return symbol(c) && !(marks && mark(c)); };
  if (size_t end = contraction(text, at, true); end > at) return end;
  const At first = look(text, at);
  if (in_word(first)) return run(text, at, in_word);
  if (number(first)) return run(text, at, number, digits);
  if (!newline(first) && in_word(look(text, first.next))) return run(text, first.next, in_word);
  const size_t word = at + (text[at] == ' ');
  if (in_symbols(look(text, word))) return run(text, run(text, word, in_symbols), newline);
  return white(text, at, true);
}

bool upper_or_neutral(const At& c) {  // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
  return (is_letter(c.kind) && c.kind != CharClass::Ll) || c.kind == CharClass::M;
}
bool lower_or_neutral(const At& c) {  // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
  return c.kind == CharClass::Ll || (upper_or_neutral(c) && c.kind != CharClass::Lu && c.kind != CharClass::Lt);
}

// [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+ : index after it, or `at`. The first part takes what it
// can and gives back until the second finds something: that is a lower-case letter behind the run, or the run's last
// neutral one.
size_t o200k_word(std::string_view text, size_t at) {
  size_t end = at, after_neutral = at;
  At c = look(text, at);
  for (; upper_or_neutral(c); c = look(text, end)) {
    end = c.next;
    if (lower_or_neutral(c)) after_neutral = end;
  }
  return c.kind == CharClass::Ll ? run(text, end, lower_or_neutral) : after_neutral;
}

// o200k   [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//         |[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//         |\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
// tekken  the same without contractions, and with \p{N} for \p{N}{1,3}
size_t o200k(std::string_view text, size_t at, size_t digits, bool contractions) {
  const At first = look(text, at);
  const auto with_suffix = [&](size_t end) {
    return contractions && end < text.size() ? contraction(text, end, true) : end;
  };
  if (number(first)) return run(text, at, number, digits);
  if (!newline(first)) {
    const size_t word = letter(first) ? at : first.next;  // behind the optional first character
    if (size_t end = o200k_word(text, word); end > word) return with_suffix(end);
    if (size_t end = o200k_word(text, at); end > at) return with_suffix(end);  // a mark that was no prefix after all
    if (size_t end = run(text, word, upper_or_neutral); end > word) return with_suffix(end);
  }
  const size_t word = at + (text[at] == ' ');
  if (symbol(look(text, word)))
    return run(text, run(text, word, symbol), [](const At& c) { return newline(c) || c.code == '/'; });
  return white(text, at, true);
}

bool ascii_letter(const At& c) { return (c.code >= 'A' && c.code <= 'Z') || (c.code >= 'a' && c.code <= 'z'); }
bool letter_or_mark(const At& c) { return letter(c) || mark(c); }
bool visible_symbol(const At& c) { return is_punctuation(c.kind) || c.kind == CharClass::S; }

// deepseek3   [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
//             ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
// Index after the match at `at`, or `at`.
size_t deepseek3(std::string_view text, size_t at) {
  const At first = look(text, at);
  if (first.code < 0x80 && visible_symbol(first) && ascii_letter(look(text, first.next)))
    return run(text, first.next, ascii_letter);
  if (letter_or_mark(first)) return run(text, at, letter_or_mark);
  if (!newline(first) && !visible_symbol(first) && letter_or_mark(look(text, first.next)))
    return run(text, first.next, letter_or_mark);
  const size_t word = at + (text[at] == ' ');
  if (visible_symbol(look(text, word))) return run(text, run(text, word, visible_symbol), newline);
  return is_white(first.kind) ? white(text, at, true) : at;
}

template <size_t n>
bool in_ranges(char32_t code, const char32_t (&ranges)[n][2]) {
  const auto* it = std::partition_point(ranges, ranges + n, [&](const char32_t(&range)[2]) { return range[1] < code; });
  return it != ranges + n && (*it)[0] <= code;
}

// The letters with case of DeepSeek's pattern, as its regular expression lists them.
constexpr char32_t cased_ranges[][2] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},       {0xD8, 0xF6},
    {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},     {0x370, 0x373},
    {0x376, 0x376},     {0x377, 0x377},     {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},
    {0x388, 0x38A},     {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},
    {0x48A, 0x52F},     {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},
    {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},
    {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},
    {0x1FB6, 0x1FBC},   {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},   {0x2102, 0x2102},
    {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},
    {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},
    {0x213C, 0x213F},   {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2183},   {0x2184, 0x2184},
    {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF2},   {0x2CF3, 0x2CF3},
    {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},
    {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2},
    {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};
// [!-/:-~！-／：-～‘-‟　-。]
constexpr char32_t deepseek_symbol_ranges[][2] = {{0x21, 0x2F},     {0x3A, 0x7E},     {0x2018, 0x201F},
                                                  {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};

bool cased(const At& c) { return c.kind != CharClass::end && in_ranges(c.code, cased_ranges); }
bool deepseek_symbol(const At& c) { return c.kind != CharClass::end && in_ranges(c.code, deepseek_symbol_ranges); }
bool punctuation(const At& c) { return is_punctuation(c.kind); }
bool kana_han(const At& c) {  // [一-龥぀-ゟ゠-ヿ]
  return (c.code >= 0x4E00 && c.code <= 0x9FA5) || (c.code >= 0x3040 && c.code <= 0x30FF);
}
bool hangul_han(const At& c) {  // [一-龥ࠀ-一가-퟿]
  return (c.code >= 0x800 && c.code <= 0x9FA5) || (c.code >= 0xAC00 && c.code <= 0xD7FF);
}

// \s?[...]+
template <class Holds>
size_t after_white(std::string_view text, size_t at, Holds holds) {
  const At first = look(text, at);
  const size_t word = is_white(first.kind) && holds(look(text, first.next)) ? first.next : at;
  const size_t end = run(text, word, holds);
  return end > word ? end : at;
}

// \s+$
size_t to_the_end(std::string_view text, size_t at) {
  const size_t end = run(text, at, [](const At& c) { return is_white(c.kind); });
  return end == text.size() ? end : at;
}

// Index after the match of a split at `at`, or `at` where none begins.
size_t match(Split split, std::string_view text, size_t at) {
  switch (split) {
    case Split::gpt2:
      return gpt2(text, at);
    case Split::llama3:
      return llama3(text, at, 3, false);
    case Split::llama3_digit:
      return llama3(text, at, 1, false);
    case Split::llama3_digits:
      return llama3(text, at, size_t(-1), false);
    case Split::llama3_marks:
      return llama3(text, at, 1, true);
    case Split::o200k:
      return o200k(text, at, 3, true);
    case Split::tekken:
      return o200k(text, at, 1, false);
    case Split::deepseek3:
      return deepseek3(text, at);
    case Split::digit:
      return run(text, at, number, 1);
    case Split::digits3:
      return run(text, at, number, 3);
    case Split::kana_han:
      return run(text, at, kana_han);
    case Split::newline:
      return run(text, at, newline, 1);
    case Split::letters:
      return after_white(text, at, letter);
    case Split::punctuation:
      return after_white(text, at, punctuation);
    case Split::cased:
      return after_white(text, at, cased);
    case Split::deepseek_symbols:
      return after_white(text, at, deepseek_symbol);
    case Split::trailing_white:
      return to_the_end(text, at);
    case Split::hangul_han:
      return run(text, at, hangul_han);
  }
  return text.size();
}

}  // namespace

size_t next_piece(Split split, std::string_view text, size_t at) {
  size_t end = match(split, text, at);
  if (end > at) return end - at;
  if (split == Split::trailing_white) {  // where the last run of white space begins, found from the back
    for (end = text.size(); end > at && is_white(look(text, before(text, end)).kind);) end = before(text, end);
    return end - at;
  }
  do end = look(text, end).next;
  while (end < text.size() && match(split, text, end) == end);
  return end - at;
}

}  // namespace cutaway
