// A Tokenizer from a Hugging Face folder: tokenizer.json, whose nodes must all be known, or what came before it
// (vocab_merges.h), and the files beside it that say which tokens begin and end a text.
#include <sys/stat.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "load/open.h"
#include "text/nfc.h"
#include "text/tokenizer.h"
#include "text/vocab_merges.h"

namespace cutaway {
namespace {

constexpr uint64_t json_bytes = uint64_t{1} << 28, template_bytes = uint64_t{1} << 26;
constexpr int64_t most_tokens = 4194304, most_context = 16777216;
constexpr std::string_view lower_bar = "\xE2\x96\x81";  // U+2581

bool is_folder(const std::string& path) {
  struct stat s;
  return stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode);
}

// null, an object without the key, and null under it are all the same: not there.
const Json* child(const Json* node, std::string_view key) {
  const Json* value = node ? node->find(key) : nullptr;
  return value && !value->is_null() ? value : nullptr;
}

std::string string_of(const Json* node, std::string_view key) {
  const Json* value = child(node, key);
  return value && value->string() ? *value->string() : "";
}

// "text", or {"content": "text", ...}.
std::string content_of(const Json* node) {
  if (node && node->string()) return *node->string();
  return string_of(node, "content");
}

}  // namespace

class JsonTokenizer {
 public:
  explicit JsonTokenizer(const std::string& path)
      : folder_(is_folder(path) ? path : path.substr(0, path.find_last_of('/') + 1)),
        path_(is_folder(path) ? in_folder("tokenizer.json") : path),
        t_(new Tokenizer) {}

  std::unique_ptr<Tokenizer> read() {
    const Json config = beside("tokenizer_config.json"), special_map = beside("special_tokens_map.json");
    const Json generation = beside("generation_config.json"), model = beside("config.json");
    const Json root = read_root(config, model);
    if (!root.object()) bad("expected an object at the top");

    t_->kind_ = "hf-json";
    t_->path_ = path_;
    read_normalizer(child(&root, "normalizer"), "normalizer");
    read_pre_tokenizer(child(&root, "pre_tokenizer"), "pre_tokenizer");
    read_decoder(child(&root, "decoder"));
    read_model(root, child(&root, "model"), model);
    read_post_processor(child(&root, "post_processor"), "post_processor");
    read_special_ids(config, special_map, generation, model);
    read_context(config, model);
    read_chat_templates(config);
    if (byte_level_)
      if (const PreTokenizer* pre = find_pre_tokenizer(t_->splits_, t_->ignore_merges_)) t_->pre_ = pre->name;
    t_->finish();
    return std::move(t_);
  }

 private:
  Json read_root(const Json& config, const Json& model) {
    if (file_exists(path_)) return parse_json(read_whole(path_, json_bytes), path_, "TokenizerFormatError");
    path_ = in_folder("vocab.json");
    return read_vocab_and_merges(folder_, config, model);
  }

  std::string in_folder(const std::string& name) const {
    return folder_.empty() || folder_.back() == '/' ? folder_ + name : folder_ + "/" + name;
  }

  Json beside(const std::string& name) const {
    const std::string path = in_folder(name);
    return file_exists(path) ? parse_json(read_whole(path, json_bytes), path, "ConfigError") : Json();
  }

  [[noreturn]] void bad(const std::string& why) const { bad_tokenizer(path_, why); }

  // Who: the node's path.  What: its type, or the setting that is not known.
  [[noreturn]] void unsupported(const std::string& node, const std::string& what, const std::string& known) const {
    throw Error("UnsupportedModelError", printable(path_, 400) + ": " + node + " is " + what + "; supported: " + known,
                "pass token ids instead of text", {{"path", path_}, {"node", node}, {"value", what}});
  }

  const std::string& type_of(const Json* node, const std::string& name) const {
    const Json* type = child(node, "type");
    if (!type || !type->string()) bad(name + ".type is missing, expected a string");
    return *type->string();
  }

  const Json::Array& list_of(const Json* node, const std::string& name, const char* key) const {
    const Json* list = child(node, key);
    if (!list || !list->array()) bad(name + "." + key + " is missing, expected a list");
    return *list->array();
  }

  bool flag(const Json* node, const std::string& name, const char* key, bool fallback = false) const {
    const Json* value = child(node, key);
    if (!value) return fallback;
    if (!value->boolean()) bad(name + "." + key + " is " + value->type_name() + ", expected true or false");
    return *value->boolean();
  }

  // A pattern {"String": ...} or {"Regex": ...}.
  const std::string& pattern_of(const Json* node, const std::string& name, bool* regex) const {
    const Json* pattern = child(node, "pattern");
    for (const char* key : {"String", "Regex"})
      if (const Json* text = child(pattern, key); text && text->string()) {
        *regex = key == std::string("Regex");
        return *text->string();
      }
    bad(name + ".pattern is missing, expected {\"String\": ...} or {\"Regex\": ...}");
  }

  // Replace blanks by U+2581, or for the decoder the other way round.
  bool replaces(const Json* node, const std::string& name, std::string_view from, std::string_view to) const {
    bool regex;
    return pattern_of(node, name, &regex) == from && !(regex && from != " ") && string_of(node, "content") == to;
  }

  void read_normalizer(const Json* node, const std::string& name) {
    const char* known = "NFC, Prepend of U+2581, Replace of a blank by U+2581, and Sequence of these";
    if (!node) return;
    const std::string& type = type_of(node, name);
    Normalizer& normalizer = t_->normalizer_;
    if (type == "Sequence") {
      const Json::Array& parts = list_of(node, name, "normalizers");
      for (size_t i = 0; i < parts.size(); ++i)
        read_normalizer(&parts[i], name + ".normalizers[" + std::to_string(i) + "]");
    } else if (type == "NFC") {
      normalizer.nfc = true;
    } else if (type == "Prepend") {
      if (string_of(node, "prepend") != lower_bar)
        unsupported(name, "Prepend of \"" + printable(string_of(node, "prepend")) + "\"", known);
      if (normalizer.prefix) unsupported(name, "a second Prepend", known);
      normalizer.prefix = true;
    } else if (type == "Replace") {
      if (!replaces(node, name, " ", lower_bar)) unsupported(name, "another Replace", known);
      normalizer.blanks = true;
    } else {
      unsupported(name, "\"" + printable(type) + "\"", known);
    }
  }

  void read_pre_tokenizer(const Json* node, const std::string& name) {
    const char* known =
        "ByteLevel, Digits, Split with a pattern of a known model, Metaspace, Split of blanks (which the normaliser "
        "has "
        "replaced), and Sequence of these";
    if (!node) return;
    const std::string& type = type_of(node, name);
    if (type == "Sequence") {
      const Json::Array& parts = list_of(node, name, "pretokenizers");
      for (size_t i = 0; i < parts.size(); ++i)
        read_pre_tokenizer(&parts[i], name + ".pretokenizers[" + std::to_string(i) + "]");
      return;
    }
    if (byte_level_ || t_->metaspace_ != Metaspace::none)
      unsupported(name, "\"" + printable(type) + "\" behind " + (byte_level_ ? "ByteLevel" : "Metaspace"), known);
    if (type == "ByteLevel") {
      if (flag(node, name, "add_prefix_space", true)) unsupported(name + ".add_prefix_space", "true", "false");
      if (flag(node, name, "use_regex", true)) t_->splits_.push_back(Split::gpt2);
      byte_level_ = true;
    } else if (type == "Digits") {
      if (!flag(node, name, "individual_digits")) unsupported(name + ".individual_digits", "false", "true");
      t_->splits_.push_back(Split::digit);
    } else if (type == "Split") {
      read_split(node, name, known);
    } else if (type == "Metaspace") {
      read_metaspace(node, name);
    } else {
      unsupported(name, "\"" + printable(type) + "\"", known);
    }
  }

  void read_split(const Json* node, const std::string& name, const char* known) {
    bool regex;
    const std::string& pattern = pattern_of(node, name, &regex);
    const std::string behavior = string_of(node, "behavior");
    const bool invert = flag(node, name, "invert");
    // Gemma's: no blank is left to split at.
    if (pattern == " " && t_->normalizer_.blanks && !invert) return;
    const KnownPattern* found = regex ? find_pattern(pattern) : nullptr;
    if (!found)
      unsupported(name + ".pattern", "\"" + printable(pattern, 400) + "\", which no pre-tokeniser here is written for",
                  known);
    // To remove what is no match is to isolate the matches, where every character is in one.
    const bool isolated = behavior == "Isolated" && !invert;
    if (!isolated && !(behavior == "Removed" && invert && covers(found->split)))
      unsupported(name + ".behavior", "\"" + printable(behavior) + "\"" + (invert ? ", inverted" : ""), "\"Isolated\"");
    t_->splits_.push_back(found->split);
  }

  void read_metaspace(const Json* node, const std::string& name) {
    if (const Json* other = child(node, "replacement"); other && content_of(other) != lower_bar)
      unsupported(name + ".replacement", "\"" + printable(content_of(other)) + "\"", "U+2581");
    if (flag(node, name, "split", true)) unsupported(name + ".split", "true", "false");
    const std::string scheme = string_of(node, "prepend_scheme");
    const bool old = flag(node, name, "add_prefix_space", true);  // before there were schemes
    if (scheme == "first") t_->metaspace_ = Metaspace::first;
    else if (scheme == "always" || (scheme.empty() && old)) t_->metaspace_ = Metaspace::always;
    else if (scheme == "never" || scheme.empty()) t_->metaspace_ = Metaspace::never;
    else unsupported(name + ".prepend_scheme", "\"" + printable(scheme) + "\"", "first, always, never");
  }

  void read_decoder(const Json* node) {
    const std::string name = "decoder";
    const char* known =
        "ByteLevel, Metaspace, and Sequence of Replace of U+2581 by a blank, ByteFallback, Fuse and Strip "
        "of one blank";
    if (!node) unsupported(name, "missing", known);
    const std::string& type = type_of(node, name);
    if ((type == "ByteLevel") != byte_level_)
      unsupported(name, "\"" + printable(type) + "\" with this pre_tokenizer", known);
    if (byte_level_) return;
    if (type == "Metaspace") {
      t_->strip_prefix_ = t_->metaspace_ != Metaspace::never;
      return;
    }
    if (type != "Sequence") unsupported(name, "\"" + printable(type) + "\"", known);
    const Json::Array& parts = list_of(node, name, "decoders");
    for (size_t i = 0; i < parts.size(); ++i) {
      const std::string part = name + ".decoders[" + std::to_string(i) + "]", kind = type_of(&parts[i], part);
      if (kind == "Strip") {
        const Json *start = child(&parts[i], "start"), *stop = child(&parts[i], "stop");
        if (string_of(&parts[i], "content") != " " || !start || start->integer() != 1 || !stop || stop->integer() != 0)
          unsupported(part, "another Strip", known);
        t_->strip_prefix_ = true;
      } else if (kind == "Replace" ? !replaces(&parts[i], part, lower_bar, " ")
                                   : kind != "ByteFallback" && kind != "Fuse") {
        unsupported(part, "\"" + printable(kind) + "\"" + (kind == "Replace" ? " of something else" : ""), known);
      }
    }
  }

  void read_model(const Json& root, const Json* node, const Json& config) {
    if (!node) unsupported("model", "missing", "BPE");
    const std::string type = child(node, "type") ? type_of(node, "model") : child(node, "merges") ? "BPE" : "missing";
    if (type != "BPE") unsupported("model.type", "\"" + printable(type) + "\"", "BPE");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (!string_of(node, key).empty()) unsupported(std::string("model.") + key, "set", "null");
    if (const Json* dropout = child(node, "dropout"); dropout && dropout->number() != 0)
      unsupported("model.dropout", "set, so that no two encodings are the same", "null");
    const bool fallback = flag(node, "model", "byte_fallback");
    if (byte_level_ && (t_->normalizer_.prefix || t_->normalizer_.blanks))
      unsupported("normalizer", "one for U+2581 before ByteLevel", "NFC or null");
    if (!byte_level_ && !t_->splits_.empty())
      unsupported("pre_tokenizer", "a Split without ByteLevel", "Split with ByteLevel");
    if (!byte_level_ && !t_->normalizer_.blanks && t_->metaspace_ == Metaspace::none)
      unsupported("pre_tokenizer", "neither ByteLevel nor Metaspace, and the normaliser does not replace blanks",
                  "ByteLevel, Metaspace, or Replace of a blank by U+2581");
    t_->ignore_merges_ = flag(node, "model", "ignore_merges");

    TokenTable table{path_, "token", &t_->texts_, {}, byte_level_};
    const std::vector<int32_t> added_only = read_texts(root, node, config, fallback && !byte_level_, table.types);
    t_->vocab_ = make_vocab(table);
    // What only added_tokens has is found by its text, and never made by merging.
    for (const int32_t id : added_only) t_->vocab_.ordinary.erase(t_->vocab_.piece(id));
    if (const std::string unknown = string_of(node, "unk_token"); !unknown.empty()) {
      t_->vocab_.unknown = id_of(unknown);
      if (t_->vocab_.unknown < 0) bad("model.unk_token \"" + printable(unknown) + "\" is no token");
    }
    check_bytes(path_, t_->vocab_);
    MergeTable merges(path_, "model.merges", read_merges(node), t_->vocab_, byte_level_);
    if (byte_level_) t_->bpe_.emplace(std::move(merges));
    else t_->spm_.emplace(t_->vocab_, std::move(merges), t_->ignore_merges_, flag(node, "model", "fuse_unk"));
  }

  // model.vocab and added_tokens into texts_ and types, by id; ids that nobody has get a text of their own. Gives those
  // ids that only added_tokens has.
  std::vector<int32_t> read_texts(const Json& root, const Json* model, const Json& config, bool fallback,
                                  std::vector<TokenType>& types) {
    const Json *vocab = child(model, "vocab"), *added = child(&root, "added_tokens");
    if (!vocab || !vocab->object()) bad("model.vocab is missing, expected an object of texts and ids");
    if (added && !added->array()) bad(std::string("added_tokens is ") + added->type_name() + ", expected a list");
    for (const JsonMember& entry : *vocab->object()) {
      const size_t id = put(entry.key, &entry.value, "model.vocab: \"" + printable(entry.key) + "\"", types);
      const std::string& text = entry.key;
      if (fallback && text.size() == 6 && text.starts_with("<0x") && text.ends_with('>')) types[id] = TokenType::byte;
    }
    const std::vector<TokenType> of_model = types;

    const std::string unknown = string_of(model, "unk_token");
    std::vector<AddedToken> raw, normalized;
    std::vector<int32_t> only;
    std::set<size_t> seen;
    for (size_t i = 0; added && i < added->array()->size(); ++i) {
      const Json* token = &(*added->array())[i];
      const std::string name = "added_tokens[" + std::to_string(i) + "]", text = string_of(token, "content");
      const size_t id = put(text, child(token, "id"), name, types);
      if (!seen.insert(id).second) bad(name + " repeats the id " + std::to_string(id));
      if (id >= of_model.size() || of_model[id] == TokenType::unused) only.push_back(static_cast<int32_t>(id));
      const bool special = flag(token, name, "special");
      types[id] = !special ? TokenType::user_defined : text == unknown ? TokenType::unknown : TokenType::control;
      const bool of_normal = flag(token, name, "normalized");
      (of_normal ? normalized : raw)
          .push_back({.text = of_normal ? t_->normalizer_.apply(text) : text,
                      .id = static_cast<int32_t>(id),
                      .special = special,
                      .lstrip = flag(token, name, "lstrip"),
                      .rstrip = flag(token, name, "rstrip"),
                      .single_word = flag(token, name, "single_word")});
      t_->added_names_.emplace_back(text, static_cast<int32_t>(id));
    }
    t_->added_ = AddedTokens(std::move(raw));
    t_->normalized_ = AddedTokens(std::move(normalized), t_->normalizer_.blanks);

    const Json* text_config = child(&config, "text_config");
    const Json* size = child(text_config ? text_config : &config, "vocab_size");
    if (const int64_t wanted = size ? size->integer().value_or(0) : 0; wanted <= most_tokens)
      grow(static_cast<size_t>(std::max<int64_t>(wanted, 0)), types);
    if (t_->texts_.empty()) bad("there are no tokens");
    for (size_t id = 0; id < t_->texts_.size(); ++id)
      if (t_->texts_[id].empty()) t_->texts_[id] = "[PAD" + std::to_string(id) + "]";
    return only;
  }

  void grow(size_t size, std::vector<TokenType>& types) {
    if (size <= types.size()) return;
    t_->texts_.resize(size);
    types.resize(size, TokenType::unused);  // until somebody has it
  }

  size_t put(const std::string& text, const Json* id, const std::string& name, std::vector<TokenType>& types) {
    const int64_t value = id ? id->integer().value_or(-1) : -1;
    if (value < 0) bad(name + " has " + (id ? id->type_name() : "nothing") + " as id, expected an integer from 0 on");
    if (value >= most_tokens)
      throw Error("LimitExceededError",
                  printable(path_, 400) + ": " + name + " has id " + std::to_string(value) + ", expected below " +
                      std::to_string(most_tokens),
                  "", {{"path", path_}, {"limit", std::string("vocabulary")}, {"value", value}});
    const size_t at = static_cast<size_t>(value);
    if (text.empty()) bad(name + " is empty");
    grow(at + 1, types);
    std::string& place = t_->texts_[at];
    if (!place.empty() && place != text)
      bad(name + " has id " + std::to_string(value) + ", which is that of \"" + printable(place) + "\"");
    if (place.empty()) types[at] = TokenType::normal;
    place = text;
    return at;
  }

  std::vector<MergeText> read_merges(const Json* model) const {
    const Json* list = child(model, "merges");
    if (!list || !list->array()) bad("model.merges is missing, expected a list");
    std::vector<MergeText> merges(list->array()->size());
    for (size_t i = 0; i < merges.size(); ++i) {
      const Json& entry = (*list->array())[i];
      const Json::Array* pair = entry.array();
      const bool is_pair = pair && pair->size() == 2 && (*pair)[0].string() && (*pair)[1].string();
      if (is_pair) merges[i] = {*(*pair)[0].string(), *(*pair)[1].string()};
      else if (!entry.string() || !split_merge(*entry.string(), &merges[i]))
        bad("model.merges[" + std::to_string(i) + "] is neither two strings nor one with one blank");
    }
    return merges;
  }

  int32_t id_of(const std::string& text) const {
    const auto it = std::find_if(t_->added_names_.begin(), t_->added_names_.end(),
                                 [&](const auto& name) { return name.first == text; });
    if (it != t_->added_names_.end()) return it->second;
    return t_->vocab_.find(token_bytes(text, byte_level_));
  }

  // A template may put one token in front of a text and one behind it.
  void read_post_processor(const Json* node, const std::string& name) {
    const char* known = "ByteLevel, TemplateProcessing, and Sequence of these";
    if (!node) return;
    const std::string& type = type_of(node, name);
    if (type == "ByteLevel") return;
    if (type == "Sequence") {
      const Json::Array& parts = list_of(node, name, "processors");
      for (size_t i = 0; i < parts.size(); ++i)
        read_post_processor(&parts[i], name + ".processors[" + std::to_string(i) + "]");
      return;
    }
    if (type != "TemplateProcessing") unsupported(name, "\"" + printable(type) + "\"", known);
    bool text_seen = false;
    for (const Json& part : list_of(node, name, "single")) {
      if (child(&part, "Sequence")) {
        if (text_seen) unsupported(name + ".single", "a template with the text twice", "one text");
        text_seen = true;
        continue;
      }
      const std::string id = string_of(child(&part, "SpecialToken"), "id");
      const Json* ids = child(child(child(node, "special_tokens"), id), "ids");
      if (!ids || !ids->array())
        bad(name + ".single names the special token \"" + printable(id) + "\", which is absent");
      int32_t& place = text_seen ? suffix_ : prefix_;
      if (ids->array()->size() != 1 || place >= 0)
        unsupported(name + ".single",
                    std::string("a template with several tokens ") + (text_seen ? "behind" : "before"),
                    "one token before the text and one behind it");
      place = checked_id((*ids->array())[0].integer().value_or(-1), name + ".special_tokens", "TokenizerFormatError");
    }
  }

  int32_t checked_id(int64_t id, const std::string& name, const char* kind) const {
    if (id >= 0 && id < t_->vocab_.size()) return static_cast<int32_t>(id);
    throw Error(kind,
                printable(path_, 400) + ": " + name + " is " + std::to_string(id) + ", expected 0 <= id < " +
                    std::to_string(t_->vocab_.size()) + ", the number of tokens",
                "", {{"path", path_}, {"key", name}, {"value", id}});
  }

  // By text from tokenizer_config.json or special_tokens_map.json, else by number from the model's files.
  int32_t special_id(const std::string& name, const std::vector<const Json*>& texts,
                     const std::vector<const Json*>& numbers) const {
    for (const Json* file : texts)
      if (const std::string text = content_of(child(file, name + "_token")); !text.empty())
        if (const int32_t id = id_of(text); id >= 0) return id;
    for (const Json* file : numbers) {
      const Json* value = child(file, name + "_token_id");
      if (value && value->array() && !value->array()->empty()) value = &(*value->array())[0];
      if (value && value->integer() && *value->integer() != -1)  // what LLaMA's first files say for none
        return checked_id(*value->integer(), name + "_token_id", "ConfigError");
    }
    return -1;
  }

  void read_special_ids(const Json& config, const Json& special_map, const Json& generation, const Json& model) {
    const std::vector<const Json*> texts{&config, &special_map}, numbers{&generation, &model};
    Vocab& vocab = t_->vocab_;
    vocab.bos = prefix_ >= 0 ? prefix_ : special_id("bos", texts, numbers);
    vocab.eos = special_id("eos", texts, numbers);
    vocab.padding = special_id("pad", texts, numbers);
    t_->add_bos_ = flag(&config, "tokenizer_config.json", "add_bos_token", prefix_ >= 0);
    t_->add_eos_ = flag(&config, "tokenizer_config.json", "add_eos_token", suffix_ >= 0);
    if (t_->add_bos_ && vocab.bos < 0)
      throw Error("ConfigError",
                  in_folder("tokenizer_config.json") + ": add_bos_token is true, but there is no bos_token", "",
                  {{"key", std::string("bos_token")}});
    for (const Json* file : numbers) {
      const Json* ends = child(file, "eos_token_id");
      if (!ends) continue;
      for (const Json& end : ends->array() ? *ends->array() : Json::Array{*ends})
        t_->end_ids_.insert(checked_id(end.integer().value_or(-1), "eos_token_id", "ConfigError"));
    }
  }

  void read_context(const Json& config, const Json& model) {
    const Json* text_config = child(&model, "text_config");
    for (const char* key : {"max_position_embeddings", "n_positions", "model_max_length"}) {
      const Json* value = child(key == std::string("model_max_length") ? &config
                                : text_config                          ? text_config
                                                                       : &model,
                                key);
      // "No limit" is written as 1e30.
      const int64_t length = value ? value->integer().value_or(-1) : -1;
      if (length <= 0 || length > most_context) continue;
      t_->context_length_ = length;
      return;
    }
  }

  void read_chat_templates(const Json& config) {
    auto& templates = t_->chat_templates_;
    if (const std::string path = in_folder("chat_template.jinja"); file_exists(path)) {
      const std::string text = read_whole(path, template_bytes);
      if (find_invalid_utf8(text) != std::string_view::npos)
        throw Error("ConfigError", printable(path, 400) + " is not UTF-8", "", {{"path", path}});
      templates.emplace_back("default", text);
      return;
    }
    const Json of_processor = beside("chat_template.json");  // as some of gemma3's folders have it
    const Json* value = child(child(&config, "chat_template") ? &config : &of_processor, "chat_template");
    if (value && value->string()) templates.emplace_back("default", *value->string());
    if (value && value->array())
      for (const Json& entry : *value->array())
        if (child(&entry, "name") && child(&entry, "template"))
          templates.emplace_back(string_of(&entry, "name"), string_of(&entry, "template"));
  }

  std::string folder_, path_;
  std::unique_ptr<Tokenizer> t_;
  bool byte_level_ = false;
  int32_t prefix_ = -1, suffix_ = -1;  // what the template puts before and behind a text
};

std::unique_ptr<Tokenizer> Tokenizer::from_json(const std::string& path) { return JsonTokenizer(path).read(); }

}  // namespace cutaway
