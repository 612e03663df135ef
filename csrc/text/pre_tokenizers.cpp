// The names that GGUF files, and the regular expressions that tokenizer.json files, have for chains of splits.
#include "text/split.h"

namespace cutaway {
namespace {

const std::vector<PreTokenizer>& pre_tokenizers() {
  const Splits gpt2{Split::gpt2}, smollm{Split::digit, Split::gpt2}, llama3{Split::llama3};
  const Splits qwen2{Split::llama3_digit}, o200k{Split::o200k};
  const Splits deepseek_llm{Split::newline,        Split::cased,      Split::deepseek_symbols,
                            Split::trailing_white, Split::hangul_han, Split::digit};
  const Splits deepseek_coder{Split::newline, Split::letters, Split::punctuation, Split::hangul_han, Split::digit};
  static const std::vector<PreTokenizer> table{
      {"gpt-2", gpt2, false, false},
      {"phi-2", gpt2, false, false},
      {"mpt", gpt2, false, false},
      {"olmo", gpt2, false, false},
      {"smollm", smollm, false, false},
      {"starcoder", smollm, false, false},
      {"refact", smollm, false, false},
      {"command-r", smollm, false, false},
      {"codeshell", smollm, false, false},
      {"exaone", smollm, false, false},
      {"minerva-7b", smollm, false, false},
      {"llama-bpe", llama3, true, true},
      {"llama3", llama3, true, true},
      {"llama-v3", llama3, true, true},
      {"falcon3", llama3, true, true},
      {"falcon-h1", llama3, true, true},
      {"pixtral", llama3, true, true},
      {"midm-2.0", llama3, true, true},
      {"lfm2", llama3, true, true},
      {"dbrx", llama3, false, false},
      {"smaug-bpe", llama3, false, false},
      {"glm4", llama3, false, false},
      {"chatglm-bpe", llama3, false, false},
      {"qwen2", qwen2, false, false},
      {"deepseek-r1-qwen", qwen2, false, false},
      {"stablelm2", qwen2, false, false},
      {"megrez", qwen2, false, false},
      {"kormo", qwen2, false, false},
      {"qwen35", {Split::llama3_marks}, false, false},
      {"gpt-4o", o200k, false, false},
      {"llama4", o200k, false, false},
      {"tekken", {Split::tekken}, true, true},
      {"deepseek-llm", deepseek_llm, false, false},
      {"deepseek-coder", deepseek_coder, false, false},
      {"deepseek-v3", {Split::digits3, Split::kana_han, Split::deepseek3}, false, false},
  };
  return table;
}

#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define WORD_BEGIN R"([^\r\n\p{L}\p{N}]?)"
#define UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define REST R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define O200K_REST R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define CL100K_BEGIN R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|)"
#define CL100K_REST R"(| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"

// Possessive quantifiers, \s*[\r\n] for \s*[\r\n]+ and a last \s for \s+ change nothing: what follows them can never
// take less, and a blank that \s+(?!\S) leaves stands alone.
constexpr KnownPattern known_patterns[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", Split::gpt2},
    {CONTRACTION "|" WORD_BEGIN R"(\p{L}+|\p{N}{1,3}|)" REST, Split::llama3},
    {CL100K_BEGIN R"(\p{N}{1,3})" CL100K_REST, Split::llama3},
    {"'(?i:[sdmt]|ll|ve|re)|" WORD_BEGIN R"(\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s)",
     Split::llama3},
    {CONTRACTION "|" WORD_BEGIN R"(\p{L}+|\p{N}|)" REST, Split::llama3_digit},
    {CL100K_BEGIN R"(\p{N})" CL100K_REST, Split::llama3_digit},
    {CONTRACTION "|" WORD_BEGIN R"(\p{L}+|\p{N}+|)" REST, Split::llama3_digits},
    {CONTRACTION "|" WORD_BEGIN R"([\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     Split::llama3_marks},
    {WORD_BEGIN UPPER "*" LOWER "+" CONTRACTION "?|" WORD_BEGIN UPPER "+" LOWER "*" CONTRACTION
                      R"(?|\p{N}{1,3}|)" O200K_REST,
     Split::o200k},
    {WORD_BEGIN UPPER "*" LOWER "+|" WORD_BEGIN UPPER "+" LOWER R"(*|\p{N}|)" O200K_REST, Split::tekken},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^)"
     "\r\n"
     R"(\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[)"
     "\r\n"
     R"(]*|\s*[)"
     "\r\n"
     R"(]+|\s+(?!\S)|\s+)",
     Split::deepseek3},
    {R"(\p{N})", Split::digit},
    {R"(\p{N}{1,3})", Split::digits3},
    {"[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+", Split::kana_han},
    {"[\r\n]", Split::newline},
    {R"(\s?\p{L}+)", Split::letters},
    {R"(\s?\p{P}+)", Split::punctuation},
    {"\\s?["
     "A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373\u0376"
     "\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-"
     "\u0556\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A"
     "\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4"
     "\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC"
     "\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F"
     "\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B"
     "\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A"
     "\U00010400-\U0001044F\U000104B0-\U000104D3\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2"
     "\U000118A0-\U000118DF\U0001E900-\U0001E943"
     "]+",
     Split::cased},
    {"\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+", Split::deepseek_symbols},
    {R"(\s+$)", Split::trailing_white},
    {"[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+", Split::hangul_han},
};

// Some files have the line ends of a class as characters, most as \r and \n.
std::string with_escapes(std::string_view regex) {
  std::string out;
  for (const char c : regex) {
    if (c == '\r') out += "\\r";
    else if (c == '\n') out += "\\n";
    else out += c;
  }
  return out;
}

}  // namespace

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  for (const PreTokenizer& pre : pre_tokenizers())
    if (pre.name == name) return &pre;
  return nullptr;
}

const PreTokenizer* find_pre_tokenizer(const Splits& splits, bool ignore_merges) {
  for (const PreTokenizer& pre : pre_tokenizers())
    if (pre.splits == splits && pre.ignore_merges == ignore_merges) return &pre;
  return nullptr;
}

std::string pre_tokenizer_names() {
  std::string out;
  for (const PreTokenizer& pre : pre_tokenizers()) out += (out.empty() ? "" : ", ") + std::string(pre.name);
  return out;
}

const KnownPattern* find_pattern(std::string_view regex) {
  const std::string wanted = with_escapes(regex);
  for (const KnownPattern& known : known_patterns)
    if (with_escapes(known.regex) == wanted) return &known;
  return nullptr;
}

std::string pattern_of(Split split) {
  for (const KnownPattern& known : known_patterns)
    if (known.split == split) return known.regex;
  return "";
}

bool covers(Split split) { return split < Split::deepseek3; }

}  // namespace cutaway
