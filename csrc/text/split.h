// Pre-tokenisers: cut text into the pieces within which merges happen. Each is a chain of splits, one inside the other,
// and each split a hand-written scanner for one published regular expression: linear, constant stack, no engine that a
// pattern or a text could blow up.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cutaway {

// The patterns stand in split.cpp. The first group leaves no character out; of the others, what lies between two
// matches is a piece too.
enum class Split {
  gpt2,
  llama3,
  llama3_digit,   // one digit a piece: qwen2
  llama3_digits,  // any number of them
  llama3_marks,   // one digit a piece, and marks belong to words: qwen 3.5
  o200k,
  tekken,
  deepseek3,  // leaves control characters out
  digit,
  digits3,
  kana_han,
  newline,
  letters,
  punctuation,
  cased,
  deepseek_symbols,
  trailing_white,
  hangul_han,
};
using Splits = std::vector<Split>;

// What a file's `tokenizer.ggml.pre` chooses.
struct PreTokenizer {
  const char* name;  // as in the file
  Splits splits;
  bool ignore_merges;  // a piece that is a token is taken whole
  bool add_bos;        // when no key of the file says otherwise
};

// Null: unknown.
const PreTokenizer* find_pre_tokenizer(std::string_view name);
// The first that does the same as these; null: none.
const PreTokenizer* find_pre_tokenizer(const Splits& splits, bool ignore_merges);
std::string pre_tokenizer_names();  // for messages: "gpt-2, smollm, ..."

// The split that a regular expression of a tokenizer.json means, by its exact text, in which a line end may be spelt
// \n or stand as it is. `covers`: it leaves no character
// out. Null: unknown.
struct KnownPattern {
  const char* regex;
  Split split;
};
const KnownPattern* find_pattern(std::string_view regex);
std::string pattern_of(Split split);  // the first of them
bool covers(Split split);

// Bytes of the first piece of text[at..]; at < text.size(), and text is valid UTF-8 with a character beginning at `at`.
size_t next_piece(Split split, std::string_view text, size_t at);

// Calls take(piece) for each piece that the chain cuts `text` into, from left to right.
template <class Take>
void split_text(std::span<const Split> splits, std::string_view text, Take&& take) {
  if (splits.empty()) {
    take(text);
    return;
  }
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = next_piece(splits[0], text, at);
    if (splits.size() == 1) take(text.substr(at, bytes));
    else split_text(splits.subspan(1), text.substr(at, bytes), take);
    at += bytes;
  }
}

}  // namespace cutaway
