// Tokenizer: text <-> token ids, by the tables of a GGUF file (tokenizer_gguf.cpp) or of a Hugging Face folder
// (tokenizer_json.cpp). Immutable; any number of threads may use one.
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
#include <variant>
#include <vector>

#include "text/added.h"
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

// What happens to a stretch of text between added tokens before it is cut into pieces.
struct Normalizer {
  bool nfc = false;
  bool prefix = false;  // a blank goes in front of every stretch
  bool blanks = false;  // U+2581 and a blank are one and the same
  bool none() const { return !nfc && !prefix && !blanks; }
  std::string apply(std::string_view text) const;
};

// Hugging Face's Metaspace: a blank goes in front of stretches that do not begin with one.
enum class Metaspace : uint8_t { none, never, first, always };

class Tokenizer {
 public:
  // Of a model. Raises UnsupportedModelError for a tokenizer or a pre-tokeniser that is not known, TokenizerFormatError
  // and ConfigError for damaged tables.
  static std::unique_ptr<Tokenizer> from_file(const File& file);

  // Of a folder with tokenizer.json, and what is there of tokenizer_config.json, special_tokens_map.json,
  // generation_config.json, config.json and chat_template.jinja; or of a tokenizer.json alone.
  static std::unique_ptr<Tokenizer> from_json(const std::string& path);

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

  const std::string& kind() const { return kind_; }  // gguf-bpe, gguf-spm, hf-json
  const std::string& pre() const { return pre_; }    // what tokenizer.ggml.pre is or would be; empty: nothing
  size_t merges() const { return bpe_ ? bpe_->size() : spm_->merges() ? spm_->merges()->size() : 0; }
  bool byte_level() const { return bpe_.has_value(); }
  bool add_bos() const { return add_bos_; }
  bool add_eos() const { return add_eos_; }  // what the file asks; encode never does it
  // Encoding puts a blank in front, which decoding takes away: of the text, and of what follows an added token.
  bool space_prefix() const { return strip_prefix_; }
  bool space_prefix_after_added() const { return strip_prefix_ && metaspace_ != Metaspace::first; }
  const std::set<int32_t>& end_ids() const { return end_ids_; }  // any of them ends generation
  int64_t context_length() const { return context_length_; }     // that the model was trained for; -1: not said
  const std::vector<std::pair<std::string, std::string>>& chat_templates() const { return chat_templates_; }

  // The tokenizer.ggml.* keys, and tokenizer.chat_template, that say of a tokenizer.json what GGUF has words for.
  // `lost` gets a line for each thing that it has none for and that its readers do without. Raises UnsupportedOperation
  // where the merges or the splits themselves cannot be said.
  using Setting =
      std::variant<bool, int64_t, std::string, std::vector<std::string>, std::vector<float>, std::vector<int32_t>>;
  std::vector<std::pair<std::string, Setting>> gguf_metadata(std::vector<std::string>* lost) const;

 private:
  friend class JsonTokenizer;
  Tokenizer() = default;
  static std::unique_ptr<Tokenizer> from_gguf(const File& file);
  // `text` is a stretch, normalised; `at_start`: it begins the whole text.
  void encode_stretch(std::string_view text, bool at_start, size_t most, MergeWork& work,
                      std::vector<int32_t>& out) const;
  void finish();  // what follows from the tables, once they are read
  bool ends_by_its_text(int32_t id) const;

  std::string kind_, pre_, path_;
  Vocab vocab_;
  std::vector<std::string> texts_;  // of a tokenizer.json: the vocabulary as it is spelt there
  std::optional<MergeTable> bpe_;
  std::optional<SentencePiece> spm_;
  Normalizer normalizer_;
  Metaspace metaspace_ = Metaspace::none;
  Splits splits_;
  bool ignore_merges_ = false, add_bos_ = false, add_eos_ = false, strip_prefix_ = false;
  AddedTokens added_;                                         // looked for in the text as it is
  AddedTokens normalized_;                                    // looked for in what the normaliser makes of a stretch
  std::vector<std::pair<std::string, int32_t>> added_names_;  // of both, as the file spells them; sorted
  size_t longest_ = 0;                                        // bytes of text that one token may stand for; 0: no bound
  bool white_is_free_ = false;                                // some take any amount of white space along besides
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
