// The metadata by which GGUF says what a tokenizer.json says.
#include <algorithm>

#include "base/error.h"
#include "text/tokenizer.h"

namespace cutaway {
namespace {

[[noreturn]] void cannot(const std::string& path, const std::string& why) {
  throw Error("UnsupportedOperation", printable(path, 400) + ": GGUF cannot say this tokenizer: " + why,
              "keep the Hugging Face folder", {{"path", path}});
}

// GGUF has no merges for SentencePiece's BPE: neighbours merge wherever the result is a token, the highest score first.
// So the ranks of each token's merges must lie apart from all others', and every way to cut a token into two must be a
// merge.
std::vector<float> scores_of(const std::string& path, const Vocab& vocab, const MergeTable& merges) {
  struct Span {
    uint32_t first = UINT32_MAX, last = 0;
    int32_t id = -1;
  };
  std::vector<Span> spans(static_cast<size_t>(vocab.size()));
  merges.for_each([&](int32_t, int32_t, uint32_t rank, int32_t id) {
    Span& span = spans[static_cast<size_t>(id)];
    span = {std::min(span.first, rank), std::max(span.last, rank), id};
  });
  for (const auto& [text, id] : vocab.ordinary) {
    if (vocab.type(id) == TokenType::user_defined) continue;  // cut out before anything merges
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const int32_t left = vocab.find(text.substr(0, cut)), right = vocab.find(text.substr(cut));
      if (left >= 0 && right >= 0 && merges.find(left, right).id != id)
        cannot(path, "\"" + printable(std::string(text)) + "\" is a token, and two parts of it, \"" +
                         printable(vocab.piece(left)) + "\" and \"" + printable(vocab.piece(right)) +
                         "\", do not merge");
    }
  }
  std::vector<float> scores(spans.size(), 0);
  std::erase_if(spans, [](const Span& span) { return span.id < 0; });
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.first < b.first; });
  for (size_t i = 0; i < spans.size(); ++i) {
    if (i > 0 && spans[i - 1].last > spans[i].first)
      cannot(path, "the merges that make \"" + printable(vocab.piece(spans[i - 1].id)) + "\" and \"" +
                       printable(vocab.piece(spans[i].id)) + "\" take turns");
    scores[static_cast<size_t>(spans[i].id)] = -static_cast<float>(i + 1);
  }
  return scores;
}

}  // namespace

std::vector<std::pair<std::string, Tokenizer::Setting>> Tokenizer::gguf_metadata(std::vector<std::string>* lost) const {
  if (kind_ != "hf-json") cannot(path_, "it came from GGUF; copy the keys of its file");
  if (bpe_ && pre_.empty()) cannot(path_, "tokenizer.ggml.pre has no name for how it splits text");
  if (spm_ && ignore_merges_) cannot(path_, "ignore_merges is on, and there is no key for it");

  std::vector<std::pair<std::string, Setting>> out;
  const auto put = [&](const char* key, Setting value) {
    out.emplace_back(std::string("tokenizer.ggml.") + key, std::move(value));
  };
  put("model", std::string(bpe_ ? "gpt2" : "llama"));
  put("pre", bpe_ ? pre_ : std::string("default"));
  std::vector<std::string> texts = texts_;
  if (spm_)  // what is found in the text as it is, is spelt as the text
    for (int32_t id = 0; id < vocab_.size(); ++id)
      if (vocab_.type(id) == TokenType::user_defined)
        texts[static_cast<size_t>(id)] = token_bytes(texts[static_cast<size_t>(id)], false);
  put("tokens", std::move(texts));
  if (spm_) put("scores", scores_of(path_, vocab_, *spm_->merges()));
  std::vector<int32_t> types;
  for (const TokenType type : vocab_.types) types.push_back(static_cast<int32_t>(type));
  put("token_type", std::move(types));
  if (bpe_) {
    std::vector<std::string> merges(bpe_->size());
    bpe_->for_each([&](int32_t left, int32_t right, uint32_t rank, int32_t) {
      merges[rank] = texts_[static_cast<size_t>(left)] + " " + texts_[static_cast<size_t>(right)];
    });
    put("merges", std::move(merges));
  }
  const std::pair<const char*, int32_t> ids[] = {{"bos_token_id", vocab_.bos},
                                                 {"eos_token_id", vocab_.eos},
                                                 {"unknown_token_id", vocab_.unknown},
                                                 {"padding_token_id", vocab_.padding}};
  for (const auto& [key, id] : ids)
    if (id >= 0) put(key, static_cast<int64_t>(id));
  const char* more_ends[] = {"eot_token_id",
                             "eom_token_id"};  // the first eos is in `ids`, those known by name need none
  size_t ends = 0;
  for (const int32_t id : end_ids_) {
    if (id == vocab_.eos || ends_by_its_text(id)) continue;
    if (ends < 2) put(more_ends[ends++], static_cast<int64_t>(id));
    else lost->push_back("token " + std::to_string(id) + " ends generation, as more than two others");
  }
  put("add_bos_token", add_bos_);
  put("add_eos_token", add_eos_);
  if (spm_)
    put("add_space_prefix", normalizer_.prefix || metaspace_ == Metaspace::first || metaspace_ == Metaspace::always);
  std::vector<std::string> names;
  for (const auto& [name, text] : chat_templates_) {
    const bool main = name == "default";
    out.emplace_back(main ? "tokenizer.chat_template" : "tokenizer.chat_template." + name, text);
    if (!main) names.push_back(name);
  }
  if (!names.empty()) out.emplace_back("tokenizer.chat_templates", std::move(names));

  if (normalizer_.nfc) lost->push_back("normal form C: text with combining marks may get other tokens");
  if (metaspace_ == Metaspace::first) lost->push_back("no blank in front of what follows an added token: it gets one");
  if (metaspace_ == Metaspace::first || metaspace_ == Metaspace::always)
    lost->push_back("no blank in front of text that begins with one: it gets another");
  std::string flagged;
  for (const AddedTokens* added : {&added_, &normalized_})
    for (const AddedToken& token : added->tokens())
      if (token.lstrip || token.rstrip || token.single_word) flagged += (flagged.empty() ? "" : ", ") + token.text;
  if (!flagged.empty()) lost->push_back("white space beside added tokens, and word ends: " + printable(flagged, 200));
  return out;
}

}  // namespace cutaway
