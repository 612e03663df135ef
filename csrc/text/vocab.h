// Vocab: the table of tokens of a file, checked: every id in range, every text there once, every type and score
// meaningful.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "load/file.h"

namespace cutaway {

enum class TokenType : uint8_t { normal = 1, unknown, control, user_defined, unused, byte };

struct Vocab {
  std::vector<std::string> pieces;  // id -> the bytes it stands for in decoded text
  std::vector<TokenType> types;
  std::vector<float> scores;  // SentencePiece only
  // Bytes -> id, of tokens that merging may make: normal, user-defined and unused ones. Keys are views of `pieces`.
  std::unordered_map<std::string_view, int32_t> ordinary;
  std::array<int32_t, 256> byte_ids;                                           // the token of a single byte; -1: none
  size_t longest = 0;                                                          // bytes of the longest piece
  int32_t bos = -1, eos = -1, unknown = -1, padding = -1, eot = -1, eom = -1;  // -1: none

  int32_t size() const { return static_cast<int32_t>(pieces.size()); }
  TokenType type(int32_t id) const { return types[static_cast<size_t>(id)]; }
  const std::string& piece(int32_t id) const { return pieces[static_cast<size_t>(id)]; }
  // Control and unknown tokens: no text ever becomes one unless special tokens are asked for.
  bool special(int32_t id) const { return type(id) == TokenType::control || type(id) == TokenType::unknown; }
  bool added(int32_t id) const { return special(id) || type(id) == TokenType::user_defined; }
  int32_t find(std::string_view bytes) const {  // an ordinary token, or -1
    const auto it = ordinary.find(bytes);
    return it == ordinary.end() ? -1 : it->second;
  }
};

// The tables of a file as they stand there, for make_vocab.
struct TokenTable {
  std::string path;  // of the file, for messages
  std::string name;  // of the table
  const std::vector<std::string>* texts = nullptr;
  std::vector<TokenType> types;
  bool byte_level = false;  // texts are in GPT-2's byte alphabet; else U+2581 stands for a blank
};

// Everything but scores and special ids. Raises TokenizerFormatError.
Vocab make_vocab(const TokenTable& table);

// From tokenizer.ggml.*. SentencePiece's scores are required. Raises TokenizerFormatError, or ConfigError for a special
// token's id outside the table.
Vocab read_vocab(const File& file, bool byte_level);

// The bytes that a text in GPT-2's byte alphabet stands for; false: some character is not of it.
bool from_byte_alphabet(std::string_view text, std::string* bytes);
std::string to_byte_alphabet(std::string_view bytes);

// The bytes of an ordinary token as a vocabulary or a merge spells it.
std::string token_bytes(std::string_view text, bool byte_level);

// Every byte must have a token, or unknown bytes one in common: else text would be lost in silence.
void check_bytes(const std::string& path, const Vocab& vocab);

std::string path_of(const File& file);

[[noreturn]] void bad_tokenizer(const std::string& path, const std::string& message, int64_t index = -1);

// Array of strings under `key`; null when absent, TokenizerFormatError when it is something else.
const std::vector<std::string>* string_array(const File& file, const std::string& key);

}  // namespace cutaway
