#include "text/split.h"

#include "text/unicode.h"

namespace cutaway {
namespace {

constexpr PreTokenizer pre_tokenizers[] = {
    {"gpt-2", Split::gpt2, false, false},
    {"smollm", Split::smollm, false, false},
    {"starcoder", Split::smollm, false, false},
    {"refact", Split::smollm, false, false},
    {"command-r", Split::smollm, false, false},
    {"codeshell", Split::smollm, false, false},
    {"exaone", Split::smollm, false, false},
    {"minerva-7b", Split::smollm, false, false},
    {"llama-bpe", Split::llama3, true, true},
    {"llama3", Split::llama3, true, true},
    {"llama-v3", Split::llama3, true, true},
    {"falcon3", Split::llama3, true, true},
    {"pixtral", Split::llama3, true, true},
    {"qwen2", Split::qwen2, false, false},
    {"deepseek-r1-qwen", Split::qwen2, false, false},
    {"megrez", Split::qwen2, false, false},
    {"gpt-4o", Split::o200k, false, false},
    {"llama4", Split::o200k, false, false},
};

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
// `newlines_first`, \s*[\r\n]+ comes before these: up to the run's last newline. With `digits_end`, a digit counts as
// the end of the text.
size_t white(std::string_view text, size_t at, bool newlines_first, bool digits_end) {
  size_t last = at, after_newline = at, end = at;
  At c = look(text, at);
  for (; is_white(c.kind); c = look(text, end)) {
    last = end;
    end = c.next;
    if (is_newline(c.code)) after_newline = end;
  }
  if (newlines_first && after_newline > at) return after_newline;
  const bool ends = c.kind == CharClass::end || (digits_end && is_number(c.kind));
  return ends || last == at ? end : last;
}

// gpt-2   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// smollm  first every \p{N} by itself, then the same within each stretch between them
size_t gpt2(std::string_view text, size_t at, bool digits_alone) {
  if (size_t end = contraction(text, at, false); end > at) return end;
  const size_t word = at + (text[at] == ' ');
  const At c = look(text, word);
  if (letter(c)) return run(text, word, letter);
  if (symbol(c)) return run(text, word, symbol);
  if (number(c) && !digits_alone) return run(text, word, number);
  if (number(c) && word == at) return c.next;
  return white(text, at, false, digits_alone);
}

// llama3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ qwen2   the same with \p{N} for \p{N}{1,3}
size_t llama3(std::string_view text, size_t at, size_t digits) {
  if (size_t end = contraction(text, at, true); end > at) return end;
  const At first = look(text, at);
  if (letter(first)) return run(text, at, letter);
  if (number(first)) return run(text, at, number, digits);
  if (!newline(first) && letter(look(text, first.next))) return run(text, first.next, letter);
  const size_t word = at + (text[at] == ' ');
  if (symbol(look(text, word))) return run(text, run(text, word, symbol), newline);
  return white(text, at, true, false);
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
size_t o200k(std::string_view text, size_t at) {
  const At first = look(text, at);
  const auto with_suffix = [&](size_t end) { return end < text.size() ? contraction(text, end, true) : end; };
  if (number(first)) return run(text, at, number, 3);
  if (!newline(first)) {
    const size_t word = letter(first) ? at : first.next;  // behind the optional first character
    if (size_t end = o200k_word(text, word); end > word) return with_suffix(end);
    if (size_t end = o200k_word(text, at); end > at) return with_suffix(end);  // a mark that was no prefix after all
    if (size_t end = run(text, word, upper_or_neutral); end > word) return with_suffix(end);
  }
  const size_t word = at + (text[at] == ' ');
  if (symbol(look(text, word)))
    return run(text, run(text, word, symbol), [](const At& c) { return newline(c) || c.code == '/'; });
  return white(text, at, true, false);
}

}  // namespace

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  for (const PreTokenizer& pre : pre_tokenizers)
    if (pre.name == name) return &pre;
  return nullptr;
}

std::string pre_tokenizer_names() {
  std::string out;
  for (const PreTokenizer& pre : pre_tokenizers) out += (out.empty() ? "" : ", ") + std::string(pre.name);
  return out;
}

size_t next_piece(Split split, std::string_view text, size_t at) {
  switch (split) {
    case Split::gpt2:
      return gpt2(text, at, false) - at;
    case Split::smollm:
      return gpt2(text, at, true) - at;
    case Split::llama3:
      return llama3(text, at, 3) - at;
    case Split::qwen2:
      return llama3(text, at, 1) - at;
    case Split::o200k:
      return o200k(text, at) - at;
  }
  return text.size() - at;
}

}  // namespace cutaway
