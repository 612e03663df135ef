// What tokenizer.json would say, from the older files vocab.json and merges.txt.
#include "text/vocab_merges.h"

#include <algorithm>

#include "base/error.h"
#include "load/open.h"
#include "text/split.h"

namespace cutaway {
namespace {

constexpr uint64_t most_bytes = uint64_t{1} << 26;

Json of(std::string text) { return {.it = std::move(text), .at = 0}; }
Json of(Json::Object members) { return {.it = std::move(members), .at = 0}; }
Json of(Json::Array values) { return {.it = std::move(values), .at = 0}; }
Json of(bool value) { return {.it = value, .at = 0}; }

std::string text_of(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value && value->string() ? *value->string() : "";
}

// How text is split is in neither file: the tokenizer's class knows it. The model's type must agree, because others
// took GPT-2's class for splits of their own, which only a tokenizer.json tells.
bool is_qwen2(const std::string& folder, const Json& config, const Json& model) {
  std::string named = text_of(config, "tokenizer_class");
  const std::string type = text_of(model, "model_type");
  if (named.ends_with("Fast")) named.resize(named.size() - 4);
  const bool qwen = type.starts_with("qwen"), any = named.empty() && type.empty();
  if (!any && (named.empty() || named == "Qwen2Tokenizer") && (type.empty() || type == "qwen2" || type == "qwen3"))
    return true;
  if (!any && !qwen && (named.empty() || named == "GPT2Tokenizer") && (type.empty() || type == "gpt2")) return false;
  throw Error("UnsupportedModelError",
              printable(folder, 400) + " has vocab.json and merges.txt and no tokenizer.json; tokenizer_class is " +
                  (named.empty() ? "absent" : "\"" + printable(named) + "\"") + ", model_type " +
                  (type.empty() ? "absent" : "\"" + printable(type) + "\"") +
                  "; supported: GPT2Tokenizer of gpt2, Qwen2Tokenizer of qwen2 and qwen3",
              "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes a tokenizer.json",
              {{"path", folder}});
}

Json::Array lines_of(const std::string& text) {
  Json::Array lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty() && !(at == 0 && line.starts_with("#version"))) lines.push_back(of(std::move(line)));
    at = end + 1;
  }
  return lines;
}

// {"151643": {"content": ..}} of tokenizer_config.json, else {"<|im_end|>": 151645} of added_tokens.json.
Json::Array added_tokens(const std::string& folder, const Json& config, const Json& vocab) {
  Json::Array out;
  if (const Json* decoder = config.find("added_tokens_decoder"); decoder && decoder->object()) {
    for (const JsonMember& entry : *decoder->object()) {
      if (!entry.value.object()) continue;
      Json::Object token = *entry.value.object();
      token.push_back({"id", parse_json(entry.key, folder + "/tokenizer_config.json", "ConfigError")});
      out.push_back(of(std::move(token)));
    }
    return out;
  }
  const auto add = [&](const std::string& text, const Json& id) {
    out.push_back(of(Json::Object{{"id", id}, {"content", of(text)}, {"special", of(true)}}));
  };
  const std::string path = folder + "/added_tokens.json", usual = "<|endoftext|>";
  const Json added = file_exists(path) ? parse_json(read_whole(path, most_bytes), path, "ConfigError") : Json();
  if (added.object())
    for (const JsonMember& entry : *added.object()) add(entry.key, entry.value);
  if (const Json* id = vocab.find(usual); id && !added.find(usual)) add(usual, *id);
  return out;
}

void check_files(const std::string& folder) {
  const auto has = [&](const char* name) { return file_exists(folder + "/" + name); };
  if (has("vocab.json") && has("merges.txt")) return;
  if (has("tokenizer.model"))
    throw Error("UnsupportedModelError",
                printable(folder, 400) + " has tokenizer.model and no tokenizer.json, which is what is read here",
                "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes one", {{"path", folder}});
  throw Error("ModelNotFoundError", printable(folder, 400) + " has no tokenizer.json",
              "download it into the same folder, or pass token ids instead of text", {{"path", folder}});
}

}  // namespace

Json read_vocab_and_merges(const std::string& folder, const Json& config, const Json& model) {
  check_files(folder);
  const bool qwen2 = is_qwen2(folder, config, model);
  const std::string path = folder + "/vocab.json";
  Json vocab = parse_json(read_whole(path, most_bytes), path, "TokenizerFormatError");
  Json added = of(added_tokens(folder, config, vocab));
  const auto typed = [](const char* type, Json::Object more) {
    more.push_back({"type", of(std::string(type))});
    return of(std::move(more));
  };
  Json splits = typed("ByteLevel", {{"add_prefix_space", of(false)}, {"use_regex", of(!qwen2)}});
  if (qwen2)
    splits = typed(
        "Sequence",
        {{"pretokenizers",
          of(Json::Array{typed("Split", {{"pattern", of(Json::Object{{"Regex", of(pattern_of(Split::llama3_digit))}})},
                                         {"behavior", of(std::string("Isolated"))}}),
                         std::move(splits)})}});
  return of(Json::Object{
      {"normalizer", qwen2 ? typed("NFC", {}) : Json()},
      {"pre_tokenizer", std::move(splits)},
      {"decoder", typed("ByteLevel", {})},
      {"added_tokens", std::move(added)},
      {"model", typed("BPE", {{"vocab", std::move(vocab)},
                              {"merges", of(lines_of(read_whole(folder + "/merges.txt", most_bytes)))}})}});
}

}  // namespace cutaway
