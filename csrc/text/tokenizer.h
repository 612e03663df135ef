// Tokenizer: text <-> token ids, by the tables of a model file. Immutable; any number of threads may use one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/bpe.h"
#include "text/sentencepiece.h"
#include "text/split.h"
#include "text/vocab.h"

namespace cutaway {

struct EncodeOptions {
  bool parse_special = false;  // text that reads like a control token becomes it; never for text of strangers
  bool add_bos = false;        // one BOS in front, unless the text's first token is one already
  int64_t max_tokens = -1;     // more raise ContextLengthExceeded, as early as it can be known; -1: no limit
  std::function<void()> poll;  // called at least about once a megabyte; may throw to stop
};

struct Encoded {
  std::vector<int32_t> ids;
  bool bos_added = false;  // then ids[0] is it
};

class Tokenizer {
 public:
  // Raises UnsupportedModelError for a tokenizer or a pre-tokeniser that is not known, TokenizerFormatError and
  // ConfigError for damaged tables.
  static std::unique_ptr<Tokenizer> from_file(const File& file);

  // Text is cut at added tokens first, the leftmost and of those the longest: user-defined ones always, control and
  // unknown ones when parse_special. What is between goes to the pre-tokeniser and to the merges.
  // Raises InvalidUtf8 with the byte, ContextLengthExceeded, TokenNotFound when BOS is asked for and there is none.
  Encoded encode(std::string_view text, const EncodeOptions& options) const;

  // The bytes of `ids`, one after the other; they may end within a character. `start`: a blank that encoding put in
  // front of the text is taken away. Raises IdNotFound.
  std::string decode(std::span<const int32_t> ids, bool skip_special, bool start) const;

  const Vocab& vocab() const { return vocab_; }
  int32_t find(std::string_view bytes) const;  // the token that reads so, an added one first; -1: none
  void check_id(int64_t id, int64_t index) const;

  const std::string& kind() const { return kind_; }  // gguf-bpe, gguf-spm
  const std::string& pre() const { return pre_; }    // tokenizer.ggml.pre
  size_t merges() const { return bpe_ ? bpe_->merges() : 0; }
  bool add_bos() const { return add_bos_; }
  bool add_eos() const { return add_eos_; }  // what the file asks; encode never does it
  bool space_prefix() const { return spm_ && spm_->space_prefix(); }
  const std::set<int32_t>& end_ids() const { return end_ids_; }  // any of them ends generation
  int64_t context_length() const { return context_length_; }     // that the model was trained for; -1: not said
  const std::vector<std::pair<std::string, std::string>>& chat_templates() const { return chat_templates_; }

 private:
  Tokenizer() = default;
  struct Match {
    int32_t id = -1;
    size_t bytes = 0;
  };
  Match added_at(std::string_view text, size_t at, bool parse_special) const;
  void encode_stretch(std::string_view text, size_t most, MergeWork& work, std::vector<int32_t>& out) const;
  void read_added();
  void read_end_ids();
  void read_chat_templates(const File& file);

  std::string kind_, pre_;
  Vocab vocab_;
  std::optional<Bpe> bpe_;
  std::optional<SentencePiece> spm_;
  Split split_ = Split::gpt2;
  bool ignore_merges_ = false, add_bos_ = false, add_eos_ = false;
  std::vector<int32_t> added_;      // ids of added tokens, sorted by their bytes
  bool begins_added_[2][256] = {};  // [parse_special][byte]: an added token begins with it
  std::set<int32_t> end_ids_;
  int64_t context_length_ = -1;
  std::vector<std::pair<std::string, std::string>> chat_templates_;
};

// Decoding one token at a time: knows whether the next one stands where encoding put a blank in front.
class PieceStream {
 public:
  PieceStream(const Tokenizer& tokenizer, bool skip_special, bool start)
      : tokenizer_(&tokenizer), skip_special_(skip_special), start_(start) {}
  std::string_view push(int32_t id);  // a view of the tokenizer's own bytes; `id` is checked already

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_, start_;
};

}  // namespace cutaway
