// Pre-tokenisers: cut text into the pieces within which merges happen. Each is a hand-written scanner for one published
// regular expression: linear, constant stack, no engine that a pattern or a text could blow up.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cutaway {

enum class Split { gpt2, smollm, llama3, qwen2, o200k };

// What a file's `tokenizer.ggml.pre` chooses.
struct PreTokenizer {
  const char* name;  // as in the file
  Split split;
  bool ignore_merges;  // a piece that is a token is taken whole
  bool add_bos;        // when no key of the file says otherwise
};

// Null: unknown.
const PreTokenizer* find_pre_tokenizer(std::string_view name);
std::string pre_tokenizer_names();  // for messages: "gpt-2, smollm, ..."

// Bytes of the first piece of text[at..]; at < text.size(), and text is valid UTF-8 with a character beginning at `at`.
size_t next_piece(Split split, std::string_view text, size_t at);

}  // namespace cutaway
