// Byte-level BPE, as GPT-2's: a piece of text falls apart into bytes, and neighbours merge in the order of the merge
// table.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/merge.h"
#include "text/vocab.h"

namespace cutaway {

class Bpe {
 public:
  // Reads tokenizer.ggml.merges. Raises TokenizerFormatError for a merge that is not "left right", or whose parts or
  // result are no tokens, and for a byte without a token where no unknown token is declared.
  Bpe(const File& file, const Vocab& vocab);

  // Appends the ids of one piece, which no merge crosses the ends of.
  void encode(const Vocab& vocab, std::string_view piece, MergeWork& work, std::vector<int32_t>& out) const;

  size_t merges() const { return rights_.size(); }

 private:
  // Merges sorted by left part, then right part; those of `left` are [first_[left], first_[left + 1]). A sorted table
  // rather than a hash: no file can choose its keys so that they collide.
  std::vector<uint32_t> first_;
  std::vector<int32_t> rights_;
  std::vector<Merged> merged_;
};

}  // namespace cutaway
