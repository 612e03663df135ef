// A Tokenizer from tokenizer.ggml.* metadata.
#include <algorithm>

#include "base/error.h"
#include "text/tokenizer.h"

namespace cutaway {
namespace {

std::vector<MergeText> read_merges(const File& file, const std::string& key) {
  const std::vector<std::string>* texts = string_array(file, key);
  if (!texts) bad_tokenizer(path_of(file), key + " is missing; byte-level BPE needs it");
  std::vector<MergeText> merges(texts->size());
  for (size_t i = 0; i < texts->size(); ++i)
    if (!split_merge((*texts)[i], &merges[i]))
      bad_tokenizer(path_of(file),
                    key + "[" + std::to_string(i) + "] is \"" + printable((*texts)[i]) +
                        "\": expected two parts with one blank between them",
                    static_cast<int64_t>(i));
  return merges;
}

// GGUF does not say what Phi-3's tokenizer.json does: its added tokens take the white space behind them along. As
// llama.cpp, we know the model by its name.
bool is_phi3(const File& file) {
  std::string name = file.get_string("general.name", "");
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return name.find("phi-3") != std::string::npos || name.find("phi3") != std::string::npos;
}

std::vector<AddedToken> read_added(const File& file, const Vocab& vocab) {
  const bool phi3 = is_phi3(file);
  std::vector<AddedToken> added;
  for (int32_t id = 0; id < vocab.size(); ++id) {
    if (!vocab.added(id)) continue;
    const std::string& text = vocab.piece(id);
    const bool rstrip =
        phi3 && (vocab.special(id) || text == "</s>") && text != "<unk>" && text != "<s>" && text != "<|endoftext|>";
    added.push_back({.text = text, .id = id, .special = vocab.special(id), .rstrip = rstrip});
  }
  return added;
}

std::vector<std::pair<std::string, std::string>> read_chat_templates(const File& file) {
  std::vector<std::pair<std::string, std::string>> templates;
  const std::string key = "tokenizer.chat_template";
  if (file.value(key)) templates.emplace_back("default", file.get_string(key, ""));
  for (const auto& [name, value] : file.metadata)
    if (name.size() > key.size() + 1 && name.compare(0, key.size() + 1, key + ".") == 0)
      templates.emplace_back(name.substr(key.size() + 1), file.get_string(name, ""));
  return templates;
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::from_gguf(const File& file) {
  const std::string model = file.get_string("tokenizer.ggml.model", "");
  if (model != "gpt2" && model != "llama")
    throw Error("UnsupportedModelError",
                path_of(file) + ": " + "tokenizer.ggml.model is " +
                    (model.empty() ? "absent" : "\"" + printable(model) + "\"") +
                    ", supported are \"gpt2\" (byte-level BPE) and \"llama\" (SentencePiece's BPE)",
                "pass token ids instead of text", {{"key", std::string("tokenizer.ggml.model")}, {"value", model}});
  std::unique_ptr<Tokenizer> t(new Tokenizer);
  const bool byte_level = model == "gpt2";
  t->kind_ = byte_level ? "gguf-bpe" : "gguf-spm";
  t->pre_ = file.get_string("tokenizer.ggml.pre", "");
  const PreTokenizer* pre = find_pre_tokenizer(t->pre_);
  if (byte_level && !pre)
    throw Error("UnsupportedModelError",
                path_of(file) + ": " + "tokenizer.ggml.pre is " +
                    (t->pre_.empty() ? "absent" : "\"" + printable(t->pre_) + "\"") +
                    ", which does not say how this model's text was split; known are " + pre_tokenizer_names(),
                "convert the model again with a converter that knows its tokenizer, or pass token ids instead of text",
                {{"key", std::string("tokenizer.ggml.pre")}, {"value", t->pre_}});
  t->vocab_ = read_vocab(file, byte_level);
  if (byte_level) {
    const std::string key = "tokenizer.ggml.merges";
    t->bpe_.emplace(path_of(file), key, read_merges(file, key), t->vocab_, true);
    check_bytes(path_of(file), t->vocab_);
    t->splits_ = pre->splits;
    t->ignore_merges_ = pre->ignore_merges;
  } else {
    t->spm_.emplace(t->vocab_);
    t->normalizer_ = {.prefix = file.get_bool("tokenizer.ggml.add_space_prefix", true), .blanks = true};
    t->strip_prefix_ = t->normalizer_.prefix;
  }
  const bool has_bos = t->vocab_.bos >= 0;
  t->add_bos_ = file.get_bool("tokenizer.ggml.add_bos_token", has_bos && (!byte_level || pre->add_bos));
  t->add_eos_ = file.get_bool("tokenizer.ggml.add_eos_token", false);
  if (t->add_bos_ && !has_bos)
    throw Error("ConfigError",
                path_of(file) + ": " + "tokenizer.ggml.add_bos_token is true, but there is no bos_token_id", "",
                {{"key", std::string("tokenizer.ggml.bos_token_id")}});
  t->added_ = AddedTokens(read_added(file, t->vocab_));
  for (const AddedToken& token : t->added_.tokens()) t->added_names_.emplace_back(token.text, token.id);
  t->chat_templates_ = read_chat_templates(file);
  const std::string architecture = file.get_string("general.architecture", "");
  t->context_length_ = file.get_int(architecture + ".context_length", -1);
  t->finish();
  return t;
}

}  // namespace cutaway
