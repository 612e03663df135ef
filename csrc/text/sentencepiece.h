// SentencePiece's BPE: begins with characters, and what is left and no token becomes byte tokens. GGUF gives scores:
// neighbours merge wherever the result is a token, the highest score first. tokenizer.json gives merges. Works on text
// with real blanks, which the vocabulary spells U+2581.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/bpe.h"
#include "text/merge.h"
#include "text/vocab.h"

namespace cutaway {

class SentencePiece {
 public:
  // By vocab.scores.
  explicit SentencePiece(const Vocab& vocab);
  // By merges. `whole`: a stretch that is a token is taken whole. `fuse_unknown`: neighbours without a token are one
  // unknown together.
  SentencePiece(const Vocab& vocab, MergeTable merges, bool whole, bool fuse_unknown);

  // Appends the ids of a stretch between added tokens; may stop once there are more than `most`.
  void encode(const Vocab& vocab, std::string_view stretch, size_t most, MergeWork& work,
              std::vector<int32_t>& out) const;

  bool fuse_unknown() const { return fuse_unknown_; }
  const MergeTable* merges() const { return merges_ ? &*merges_ : nullptr; }

 private:
  void encode_word(const Vocab& vocab, std::string_view text, MergeWork& work, std::vector<int32_t>& out,
                   size_t* last_unknown) const;

  std::optional<MergeTable> merges_;
  std::vector<uint32_t> ranks_;  // id -> place of its score from the top; equal scores share one
  bool whole_ = false, fuse_unknown_ = false;
  // No token has a blank behind something else, so no merge can cross such a place, and words can be merged one by one.
  bool cut_at_blanks_;
};

}  // namespace cutaway
