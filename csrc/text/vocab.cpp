#include "text/vocab.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "base/error.h"
#include "text/unicode.h"

namespace cutaway {
namespace {

const std::string prefix = "tokenizer.ggml.";

// A key of the wrong type damages the tokenizer, not the model's config: the same words, the tokenizer's class.
template <class Get>
auto typed(Get get) {
  try {
    return get();
  } catch (const Error& error) {
    throw Error("TokenizerFormatError", error.message, error.hint, error.details);
  }
}

void check_count(const File& file, const std::string& key, size_t count, size_t tokens) {
  if (count != tokens)
    bad_tokenizer(path_of(file), key + " has " + std::to_string(count) + " entries, expected one for each of the " +
                                     std::to_string(tokens) + " tokens");
}

std::vector<TokenType> read_types(const File& file, size_t tokens) {
  const std::string key = prefix + "token_type";
  if (!file.value(key)) return std::vector<TokenType>(tokens, TokenType::normal);
  const std::vector<int64_t> values = typed([&] { return file.get_ints(key); });
  check_count(file, key, values.size(), tokens);
  std::vector<TokenType> types;
  for (size_t i = 0; i < tokens; ++i) {
    if (values[i] < 1 || values[i] > 6)
      bad_tokenizer(path_of(file),
                    key + "[" + std::to_string(i) + "] is " + std::to_string(values[i]) + ", expected 1 to 6",
                    static_cast<int64_t>(i));
    types.push_back(static_cast<TokenType>(values[i]));
  }
  return types;
}

std::vector<float> read_scores(const File& file, size_t tokens, bool required) {
  const std::string key = prefix + "scores";
  if (!file.value(key) && !required) return {};
  const std::vector<double> values = typed([&] { return file.get_floats(key); });
  check_count(file, key, values.size(), tokens);
  std::vector<float> scores;
  for (size_t i = 0; i < tokens; ++i) {
    if (std::isnan(values[i]))
      bad_tokenizer(path_of(file), key + "[" + std::to_string(i) + "] is NaN", static_cast<int64_t>(i));
    scores.push_back(static_cast<float>(values[i]));
  }
  return scores;
}

// Exactly <0xHH>, or -1. Written out because a lenient number parser here once wrote in front of an array.
int byte_token(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  const int high = digit(text[3]), low = digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::string with_blanks(std::string_view text) {  // U+2581 -> blank
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text.substr(at, 3) == "\xE2\x96\x81") {
      out += ' ';
      at += 2;
    } else {
      out += text[at];
    }
  }
  return out;
}

// The bytes of a token. `verbatim`: its text as it stands, not decoded from the vocabulary's spelling.
std::string piece_of(const TokenTable& table, size_t id, bool* verbatim) {
  const std::string& text = (*table.texts)[id];
  const TokenType type = table.types[id];
  *verbatim = false;
  if (type == TokenType::byte) {
    const int byte = byte_token(text);
    if (byte < 0)
      bad_tokenizer(table.path,
                    "token " + std::to_string(id) + " is of type byte and reads \"" + printable(text) +
                        "\", expected <0xHH> with two hexadecimal digits",
                    static_cast<int64_t>(id));
    return std::string(1, static_cast<char>(byte));
  }
  if (type == TokenType::normal || type == TokenType::unused) {
    if (!table.byte_level) return with_blanks(text);
    std::string bytes;
    if (from_byte_alphabet(text, &bytes)) return bytes;
  }
  *verbatim = true;
  return text;
}

int32_t special_id(const File& file, const char* name, int64_t fallback, int32_t tokens) {
  const std::string key = prefix + name + "_token_id";
  const int64_t id = file.get_int(key, fallback);
  if (!file.value(key) && fallback < 0) return -1;
  if (id < 0 || id >= tokens)
    throw Error("ConfigError",
                path_of(file) + ": " + key + (file.value(key) ? " is " : " is absent, which means ") +
                    std::to_string(id) + ", expected 0 <= id < " + std::to_string(tokens) + ", the number of tokens",
                "", {{"key", key}, {"value", id}});
  return static_cast<int32_t>(id);
}

}  // namespace

std::string path_of(const File& file) { return file.parts.empty() ? file.folder : file.parts[0]; }

void bad_tokenizer(const std::string& path, const std::string& message, int64_t index) {
  Details details;
  if (index >= 0) details.emplace_back("index", index);
  throw Error("TokenizerFormatError", printable(path, 400) + ": " + message,
              "the tokenizer's tables are damaged; convert or download the model again", details);
}

const std::vector<std::string>* string_array(const File& file, const std::string& key) {
  return typed([&] { return file.get_strings(key); });
}

bool from_byte_alphabet(std::string_view text, std::string* bytes) {
  bytes->clear();
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    if (c.bytes == 0) return false;
    at += c.bytes;
    // The 68 bytes without a character of their own stand at U+0100 on, in increasing order: 00-20, 7F-A0, AD.
    const char32_t code = c.code;
    if ((code >= 0x21 && code <= 0x7E) || (code >= 0xA1 && code <= 0xFF && code != 0xAD))
      *bytes += static_cast<char>(code);
    else if (code >= 0x100 && code <= 0x120) *bytes += static_cast<char>(code - 0x100);
    else if (code >= 0x121 && code <= 0x142) *bytes += static_cast<char>(code - 0x121 + 0x7F);
    else if (code == 0x143) *bytes += static_cast<char>(0xAD);
    else return false;
  }
  return true;
}

std::string to_byte_alphabet(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const uint8_t byte = static_cast<uint8_t>(c);
    char32_t code = byte;
    if (byte <= 0x20) code = 0x100u + byte;
    else if (byte >= 0x7F && byte <= 0xA0) code = 0x121u + (byte - 0x7Fu);
    else if (byte == 0xAD) code = 0x143;
    append_utf8(code, out);
  }
  return out;
}

std::string token_bytes(std::string_view text, bool byte_level) {
  std::string bytes;
  if (!byte_level) return with_blanks(text);
  return from_byte_alphabet(text, &bytes) ? bytes : std::string(text);
}

void check_bytes(const std::string& path, const Vocab& vocab) {
  if (vocab.unknown >= 0) return;
  for (size_t byte = 0; byte < 256; ++byte)
    if (vocab.byte_ids[byte] < 0)
      bad_tokenizer(path, "no token for byte " + std::to_string(byte) +
                              " and no unknown token: text with it could not be encoded");
}

Vocab make_vocab(const TokenTable& table) {
  const std::vector<std::string>& texts = *table.texts;
  Vocab vocab;
  vocab.types = table.types;
  vocab.byte_ids.fill(-1);

  std::unordered_set<std::string_view> seen(texts.size());
  std::vector<bool> verbatim(texts.size());
  vocab.pieces.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string& text = texts[i];
    const auto bad = [&](const std::string& why) {
      bad_tokenizer(table.path, table.name + "[" + std::to_string(i) + "] " + why, static_cast<int64_t>(i));
    };
    if (text.empty()) bad("is empty");
    if (find_invalid_utf8(text) != std::string_view::npos) bad("is not UTF-8: \"" + printable(text) + "\"");
    if (!seen.insert(text).second) bad("repeats the text of another token: \"" + printable(text) + "\"");
    bool as_it_stands;
    vocab.pieces.push_back(piece_of(table, i, &as_it_stands));
    vocab.longest = std::max(vocab.longest, vocab.pieces.back().size());
    verbatim[i] = as_it_stands;
  }

  // Two rounds, so that a token in the vocabulary's spelling wins over one that only reads the same.
  vocab.ordinary.reserve(texts.size());
  for (const bool round : {false, true})
    for (int32_t id = 0; id < vocab.size(); ++id)
      if (!vocab.special(id) && vocab.type(id) != TokenType::byte && verbatim[static_cast<size_t>(id)] == round)
        vocab.ordinary.emplace(vocab.piece(id), id);
  for (int32_t id = 0; id < vocab.size(); ++id)
    if (vocab.type(id) == TokenType::byte) vocab.byte_ids[static_cast<uint8_t>(vocab.piece(id)[0])] = id;
  if (table.byte_level)
    for (const auto& [bytes, id] : vocab.ordinary)
      if (bytes.size() == 1) vocab.byte_ids[static_cast<uint8_t>(bytes[0])] = id;
  return vocab;
}

Vocab read_vocab(const File& file, bool byte_level) {
  const std::string key = prefix + "tokens";
  const std::vector<std::string>* texts = string_array(file, key);
  if (!texts || texts->empty()) bad_tokenizer(path_of(file), key + " is missing or empty");
  if (texts->size() > INT32_MAX) bad_tokenizer(path_of(file), key + " has more entries than an id can count");
  Vocab vocab = make_vocab({path_of(file), key, texts, read_types(file, texts->size()), byte_level});
  vocab.scores = read_scores(file, texts->size(), !byte_level);
  const int32_t n = vocab.size();
  vocab.bos = special_id(file, "bos", byte_level ? -1 : 1, n);
  vocab.eos = special_id(file, "eos", byte_level ? -1 : 2, n);
  vocab.unknown = special_id(file, "unknown", byte_level ? -1 : 0, n);
  vocab.padding = special_id(file, "padding", -1, n);
  vocab.eot = special_id(file, "eot", -1, n);
  vocab.eom = special_id(file, "eom", -1, n);
  return vocab;
}

}  // namespace cutaway
