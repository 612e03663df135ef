#include "text/tokenizer.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "text/nfc.h"
#include "text/unicode.h"

namespace cutaway {
namespace {

constexpr ptrdiff_t poll_bytes = ptrdiff_t{1} << 20;

// Texts of tokens that end generation whatever the keys say, in the form no plain text has; and those that only do as
// control tokens, because HTML has them too.
constexpr std::string_view end_texts[] = {"<|eot_id|>", "<|im_end|>",    "<|end|>",       "<|return|>",     "<|call|>",
                                          "<|eom_id|>", "<|endoftext|>", "<end_of_turn>", "<|end_of_text|>"};
constexpr std::string_view control_end_texts[] = {"</s>", "<eos>"};

[[noreturn]] void too_long(size_t at_least, size_t most) {
  throw Error("ContextLengthExceeded",
              "the text has at least " + std::to_string(at_least) + " tokens, expected at most " + std::to_string(most),
              "", {{"length", static_cast<int64_t>(at_least)}, {"max", static_cast<int64_t>(most)}});
}

}  // namespace

std::string Normalizer::apply(std::string_view text) const {
  std::string out = prefix && !text.empty() ? " " : "";
  if (!blanks) return nfc ? out += to_nfc(text) : out += text;
  const std::string composed = nfc ? to_nfc(text) : std::string();
  if (nfc) text = composed;
  out.reserve(out.size() + text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t lower_bar = text.find("\xE2\x96\x81", at);
    out.append(text, at, lower_bar - at);
    if (lower_bar == std::string_view::npos) break;
    out += ' ';
    at = lower_bar + 3;
  }
  return out;
}

std::unique_ptr<Tokenizer> Tokenizer::from_file(const File& file) {
  return file.folder.empty() ? from_gguf(file) : from_json(file.folder);
}

bool Tokenizer::ends_by_its_text(int32_t id) const {
  const auto among = [&](const auto& texts) {
    return std::find(std::begin(texts), std::end(texts), vocab_.piece(id)) != std::end(texts);
  };
  return among(end_texts) || (among(control_end_texts) && vocab_.type(id) == TokenType::control);
}

void Tokenizer::finish() {
  std::sort(added_names_.begin(), added_names_.end());
  const auto takes_white = [](const AddedTokens& added) {
    return std::any_of(added.tokens().begin(), added.tokens().end(),
                       [](const AddedToken& token) { return token.lstrip || token.rstrip; });
  };
  white_is_free_ = takes_white(added_) || takes_white(normalized_);
  // Normalising makes four bytes one at most: three of U+2581 one, nine of Hangul three.
  const bool same_size = normalizer_.none() && metaspace_ == Metaspace::none;
  const bool unknown_runs = spm_ && spm_->fuse_unknown() && vocab_.byte_ids[0] < 0;
  longest_ = unknown_runs ? 0 : same_size ? vocab_.longest : 4 * vocab_.longest;
  for (int32_t id : {vocab_.eos, vocab_.eot, vocab_.eom})
    if (id >= 0) end_ids_.insert(id);
  for (std::string_view text : end_texts)
    if (int32_t id = find(text); id >= 0) end_ids_.insert(id);
  for (std::string_view text : control_end_texts)
    if (int32_t id = find(text); id >= 0 && ends_by_its_text(id)) end_ids_.insert(id);
  // gpt-oss ends a message with <|end|> and goes on with the next one.
  if (find("<|return|>") >= 0 && find("<|call|>") >= 0) end_ids_.erase(find("<|end|>"));
}

void Tokenizer::encode_stretch(std::string_view text, bool at_start, size_t most, MergeWork& work,
                               std::vector<int32_t>& out) const {
  if (spm_) {
    std::string with_prefix;
    if (metaspace_ != Metaspace::none) {
      with_prefix = Normalizer{.blanks = true}.apply(text);
      const bool wanted = metaspace_ == Metaspace::always || (metaspace_ == Metaspace::first && at_start);
      if (wanted && with_prefix[0] != ' ') with_prefix.insert(0, 1, ' ');
      text = with_prefix;
    }
    spm_->encode(vocab_, text, most, work, out);
    if (out.size() > most) too_long(out.size(), most);
    return;
  }
  const char* polled = text.data();
  split_text(splits_, text, [&](std::string_view piece) {
    const int32_t whole = piece.size() == 1 ? vocab_.byte_ids[static_cast<uint8_t>(piece[0])]
                          : ignore_merges_  ? vocab_.find(piece)
                                            : -1;
    if (whole >= 0) out.push_back(whole);
    else encode_bytes(*bpe_, vocab_, piece, work, out);
    if (out.size() > most) too_long(out.size(), most);
    if (piece.data() - polled >= poll_bytes && work.poll) {
      work.poll();
      polled = piece.data();
    }
  });
}

Encoded Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const size_t most =
      options.max_tokens < 0 ? std::numeric_limits<size_t>::max() : static_cast<size_t>(options.max_tokens);
  // This many there are at least: known before the text is looked at closely.
  size_t at_least = longest_ > 0 ? text.size() / longest_ : 0;
  if (at_least > most && white_is_free_)
    at_least = static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return c > ' '; })) / longest_;
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
  const auto take = [&](int32_t id) { out.push_back(id); };
  added_.cut(
      text, options.parse_special,
      [&](std::string_view stretch, size_t at) {
        if (normalizer_.none() && normalized_.empty()) return encode_stretch(stretch, at == 0, most, work, out);
        const std::string normal = normalizer_.apply(stretch);
        normalized_.cut(
            normal, options.parse_special,
            [&](std::string_view rest, size_t within) {
              encode_stretch(rest, at == 0 && within == 0, most, work, out);
            },
            take);
      },
      take);
  const bool bos_added = options.add_bos && (out.empty() || out[0] != vocab_.bos);
  if (bos_added) out.insert(out.begin(), vocab_.bos);
  if (out.size() > most) too_long(out.size(), most);
  return {std::move(out), bos_added};
}

int32_t Tokenizer::find(std::string_view bytes) const {
  const auto it = std::lower_bound(added_names_.begin(), added_names_.end(), bytes,
                                   [](const auto& name, std::string_view b) { return name.first < b; });
  return it != added_names_.end() && it->first == bytes ? it->second : vocab_.find(bytes);
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
  start_ = added && tokenizer_->space_prefix_after_added();
  return skip_special_ && vocab.special(id) ? std::string_view() : piece;
}

}  // namespace cutaway
