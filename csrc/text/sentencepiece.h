// SentencePiece's BPE: characters merge wherever the result is a token, the highest score first; what is left and no
// token becomes byte tokens. Works on text with real blanks, which the vocabulary spells U+2581.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/merge.h"
#include "text/vocab.h"

namespace cutaway {

class SentencePiece {
 public:
  SentencePiece(const File& file, const Vocab& vocab);

  // Appends the ids of a stretch between added tokens; may stop once there are more than `most`.
  void encode(const Vocab& vocab, std::string_view stretch, size_t most, MergeWork& work,
              std::vector<int32_t>& out) const;

  bool space_prefix() const { return space_prefix_; }  // a blank goes in front of every stretch

 private:
  void encode_word(const Vocab& vocab, std::string_view text, MergeWork& work, std::vector<int32_t>& out) const;

  std::vector<uint32_t> ranks_;  // id -> place of its score from the top; equal scores share one
  bool space_prefix_;
  // No token has a blank behind something else, so no merge can cross such a place, and words can be merged one by one.
  bool cut_at_blanks_;
};

}  // namespace cutaway
