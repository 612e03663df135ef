#include "text/tokenizer.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "text/unicode.h"

namespace cutaway {
namespace {

constexpr size_t poll_bytes = size_t{1} << 20;

// Texts of tokens that end generation whatever the keys say, in the form no plain text has; and those that only do as
// control tokens, because HTML has them too.
constexpr std::string_view end_texts[] = {"<|eot_id|>", "<|im_end|>",    "<|end|>",       "<|return|>",     "<|call|>",
                                          "<|eom_id|>", "<|endoftext|>", "<end_of_turn>", "<|end_of_text|>"};
constexpr std::string_view control_end_texts[] = {"</s>", "<eos>"};

std::string where(const File& file) { return file.parts.empty() ? "" : file.parts[0] + ": "; }

[[noreturn]] void too_long(size_t at_least, size_t most) {
  throw Error("ContextLengthExceeded",
              "the text has at least " + std::to_string(at_least) + " tokens, expected at most " + std::to_string(most),
              "", {{"length", static_cast<int64_t>(at_least)}, {"max", static_cast<int64_t>(most)}});
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::from_file(const File& file) {
  const std::string model = file.get_string("tokenizer.ggml.model", "");
  if (model != "gpt2" && model != "llama")
    throw Error("UnsupportedModelError",
                where(file) + "tokenizer.ggml.model is " + (model.empty() ? "absent" : "\"" + printable(model) + "\"") +
                    ", supported are \"gpt2\" (byte-level BPE) and \"llama\" (SentencePiece's BPE)",
                "pass token ids instead of text", {{"key", std::string("tokenizer.ggml.model")}, {"value", model}});
  std::unique_ptr<Tokenizer> t(new Tokenizer);
  const bool byte_level = model == "gpt2";
  t->kind_ = byte_level ? "gguf-bpe" : "gguf-spm";
  t->pre_ = file.get_string("tokenizer.ggml.pre", "");
  const PreTokenizer* pre = find_pre_tokenizer(t->pre_);
  if (byte_level && !pre)
    throw Error("UnsupportedModelError",
                where(file) + "tokenizer.ggml.pre is " +
                    (t->pre_.empty() ? "absent" : "\"" + printable(t->pre_) + "\"") +
                    ", which does not say how this model's text was split; known are " + pre_tokenizer_names(),
                "convert the model again with a converter that knows its tokenizer, or pass token ids instead of text",
                {{"key", std::string("tokenizer.ggml.pre")}, {"value", t->pre_}});
  t->vocab_ = read_vocab(file, byte_level);
  if (byte_level) {
    t->bpe_.emplace(file, t->vocab_);
    t->split_ = pre->split;
    t->ignore_merges_ = pre->ignore_merges;
  } else {
    t->spm_.emplace(file, t->vocab_);
  }
  const bool has_bos = t->vocab_.bos >= 0;
  t->add_bos_ = file.get_bool("tokenizer.ggml.add_bos_token", has_bos && (!byte_level || pre->add_bos));
  t->add_eos_ = file.get_bool("tokenizer.ggml.add_eos_token", false);
  if (t->add_bos_ && !has_bos)
    throw Error("ConfigError", where(file) + "tokenizer.ggml.add_bos_token is true, but there is no bos_token_id", "",
                {{"key", std::string("tokenizer.ggml.bos_token_id")}});
  t->read_added();
  t->read_end_ids();
  t->read_chat_templates(file);
  const std::string architecture = file.get_string("general.architecture", "");
  t->context_length_ = file.get_int(architecture + ".context_length", -1);
  return t;
}

void Tokenizer::read_added() {
  for (int32_t id = 0; id < vocab_.size(); ++id) {
    if (!vocab_.added(id)) continue;
    added_.push_back(id);
    const uint8_t first = static_cast<uint8_t>(vocab_.piece(id)[0]);
    begins_added_[true][first] = true;
    if (!vocab_.special(id)) begins_added_[false][first] = true;
  }
  std::sort(added_.begin(), added_.end(), [&](int32_t a, int32_t b) { return vocab_.piece(a) < vocab_.piece(b); });
}

void Tokenizer::read_end_ids() {
  for (int32_t id : {vocab_.eos, vocab_.eot, vocab_.eom})
    if (id >= 0) end_ids_.insert(id);
  for (std::string_view text : end_texts)
    if (int32_t id = find(text); id >= 0) end_ids_.insert(id);
  for (std::string_view text : control_end_texts)
    if (int32_t id = find(text); id >= 0 && vocab_.type(id) == TokenType::control) end_ids_.insert(id);
  // gpt-oss ends a message with <|end|> and goes on with the next one.
  if (find("<|return|>") >= 0 && find("<|call|>") >= 0) end_ids_.erase(find("<|end|>"));
}

void Tokenizer::read_chat_templates(const File& file) {
  const std::string key = "tokenizer.chat_template";
  if (file.value(key)) chat_templates_.emplace_back("default", file.get_string(key, ""));
  for (const auto& [name, value] : file.metadata)
    if (name.size() > key.size() + 1 && name.compare(0, key.size() + 1, key + ".") == 0)
      chat_templates_.emplace_back(name.substr(key.size() + 1), file.get_string(name, ""));
}

// The longest added token that text[at..] begins with. added_ is sorted, so those that share a prefix stand together,
// the shortest first: each byte narrows [low, high).
Tokenizer::Match Tokenizer::added_at(std::string_view text, size_t at, bool parse_special) const {
  Match best;
  if (!begins_added_[parse_special][static_cast<uint8_t>(text[at])]) return best;
  auto low = added_.begin(), high = added_.end();
  for (size_t depth = 0; low != high; ++depth) {
    if (vocab_.piece(*low).size() == depth) {
      if (parse_special || !vocab_.special(*low)) best = {*low, depth};
      if (++low == high) break;
    }
    if (at + depth == text.size()) break;
    const auto byte = [&](int32_t id) { return static_cast<uint8_t>(vocab_.piece(id)[depth]); };
    const uint8_t wanted = static_cast<uint8_t>(text[at + depth]);
    low = std::partition_point(low, high, [&](int32_t id) { return byte(id) < wanted; });
    high = std::partition_point(low, high, [&](int32_t id) { return byte(id) == wanted; });
  }
  return best;
}

void Tokenizer::encode_stretch(std::string_view text, size_t most, MergeWork& work, std::vector<int32_t>& out) const {
  if (spm_) {
    spm_->encode(vocab_, text, most, work, out);
    if (out.size() > most) too_long(out.size(), most);
    return;
  }
  size_t polled = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = next_piece(split_, text, at);
    const std::string_view piece = text.substr(at, bytes);
    const int32_t whole = bytes == 1       ? vocab_.byte_ids[static_cast<uint8_t>(piece[0])]
                          : ignore_merges_ ? vocab_.find(piece)
                                           : -1;
    if (whole >= 0) out.push_back(whole);
    else bpe_->encode(vocab_, piece, work, out);
    if (out.size() > most) too_long(out.size(), most);
    at += bytes;
    if (at - polled >= poll_bytes && work.poll) {
      work.poll();
      polled = at;
    }
  }
}

Encoded Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const size_t most =
      options.max_tokens < 0 ? std::numeric_limits<size_t>::max() : static_cast<size_t>(options.max_tokens);
  // No token is longer than the longest piece, so this many there are at least: known before the text is looked at.
  const size_t at_least = text.size() / vocab_.longest;
  if (at_least > most) too_long(at_least, most);
  if (text.size() > size_t{1} << 30)
    throw Error("ArgumentError",
                "the text has " + std::to_string(text.size()) + " bytes, expected at most 2^30 in one call",
                "encode it in parts, cut at line ends");
  if (size_t at = find_invalid_utf8(text); at != std::string_view::npos)
    throw Error("InvalidUtf8", "the text is not valid UTF-8 at byte " + std::to_string(at), "",
                {{"index", static_cast<int64_t>(at)}});
  if (options.add_bos && vocab_.bos < 0)
    throw Error("TokenNotFound", "BOS is asked for, but the model has no BOS token", "encode with bos=False");

  MergeWork work;
  work.poll = options.poll;
  std::vector<int32_t> out;
  size_t from = 0;
  for (size_t at = 0; at < text.size();) {
    const Match match = added_at(text, at, options.parse_special);
    if (match.id < 0) {
      ++at;
      continue;
    }
    encode_stretch(text.substr(from, at - from), most, work, out);
    out.push_back(match.id);
    from = at += match.bytes;
  }
  encode_stretch(text.substr(from), most, work, out);
  const bool bos_added = options.add_bos && (out.empty() || out[0] != vocab_.bos);
  if (bos_added) out.insert(out.begin(), vocab_.bos);
  if (out.size() > most) too_long(out.size(), most);
  return {std::move(out), bos_added};
}

int32_t Tokenizer::find(std::string_view bytes) const {
  const auto it = std::lower_bound(added_.begin(), added_.end(), bytes, [&](int32_t id, std::string_view b) {
    return std::string_view(vocab_.piece(id)) < b;
  });
  return it != added_.end() && vocab_.piece(*it) == bytes ? *it : vocab_.find(bytes);
}

void Tokenizer::check_id(int64_t id, int64_t index) const {
  if (id >= 0 && id < vocab_.size()) return;
  throw Error("InvalidTokenId",
              "tokens[" + std::to_string(index) + "] is " + std::to_string(id) + ", expected 0 <= id < " +
                  std::to_string(vocab_.size()),
              "", {{"index", index}, {"value", id}});
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special, bool start) const {
  std::string out;
  PieceStream pieces(*this, skip_special, start);
  for (size_t i = 0; i < ids.size(); ++i) {
    check_id(ids[i], static_cast<int64_t>(i));
    out += pieces.push(ids[i]);
  }
  return out;
}

std::string_view PieceStream::push(int32_t id) {
  const Vocab& vocab = tokenizer_->vocab();
  std::string_view piece = vocab.piece(id);
  const bool added = vocab.added(id);
  if (start_ && !added && tokenizer_->space_prefix() && piece[0] == ' ') piece.remove_prefix(1);
  start_ = added;
  return skip_special_ && vocab.special(id) ? std::string_view() : piece;
}

}  // namespace cutaway
