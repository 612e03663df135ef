// BPE by a table of merges: neighbours merge in the table's order. Byte-level BPE, as GPT-2's, begins with the bytes of
// a piece; sentencepiece.h begins with characters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/merge.h"
#include "text/vocab.h"

namespace cutaway {

struct MergeText {
  std::string left, right;  // as the vocabulary spells its tokens
};

// The two parts of "left right"; false: there are not two with one blank between them.
bool split_merge(const std::string& text, MergeText* merge);

class MergeTable {
 public:
  // `name` of the table, for messages; its order is the rank. Raises TokenizerFormatError for a merge whose parts or
  // result are no tokens, and for one that is there twice.
  MergeTable(const std::string& path, const std::string& name, const std::vector<MergeText>& merges, const Vocab& vocab,
             bool byte_level);

  Merged find(int32_t left, int32_t right) const;  // no_merge: they do not merge
  size_t size() const { return rights_.size(); }
  // Calls each(left, right, rank, id) in no order that matters.
  template <class Each>
  void for_each(Each each) const {
    for (size_t left = 0; left + 1 < first_.size(); ++left)
      for (uint32_t i = first_[left]; i < first_[left + 1]; ++i)
        each(static_cast<int32_t>(left), rights_[i], merged_[i].rank, merged_[i].id);
  }

 private:
  // Merges sorted by left part, then right part; those of `left` are [first_[left], first_[left + 1]). A sorted table
  // rather than a hash: no file can choose its keys so that they collide.
  std::vector<uint32_t> first_;
  std::vector<int32_t> rights_;
  std::vector<Merged> merged_;
};

// Appends the ids of one piece, which no merge crosses the ends of.
void encode_bytes(const MergeTable& merges, const Vocab& vocab, std::string_view piece, MergeWork& work,
                  std::vector<int32_t>& out);

}  // namespace cutaway
