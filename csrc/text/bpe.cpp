#include "text/bpe.h"

#include <algorithm>

#include "base/error.h"

namespace cutaway {
namespace {

struct Merge {
  int32_t left, right, id;
  uint32_t rank;
};

Merge parse_merge(const File& file, const Vocab& vocab, const std::string& text, size_t rank) {
  const auto bad = [&](const std::string& why) {
    bad_tokenizer(file, "tokenizer.ggml.merges[" + std::to_string(rank) + "] is \"" + printable(text) + "\": " + why,
                  static_cast<int64_t>(rank));
  };
  const size_t blank = text.find(' ');
  if (blank == std::string::npos || blank == 0 || blank + 1 == text.size() ||
      text.find(' ', blank + 1) != std::string::npos)
    bad("expected two parts with one blank between them");
  std::string left, right;
  if (!from_byte_alphabet(std::string_view(text).substr(0, blank), &left)) left = text.substr(0, blank);
  if (!from_byte_alphabet(std::string_view(text).substr(blank + 1), &right)) right = text.substr(blank + 1);
  Merge merge{vocab.find(left), vocab.find(right), vocab.find(left + right), static_cast<uint32_t>(rank)};
  if (merge.left < 0) bad("the left part is no token");
  if (merge.right < 0) bad("the right part is no token");
  if (merge.id < 0) bad("the two together are no token");
  return merge;
}

}  // namespace

Bpe::Bpe(const File& file, const Vocab& vocab) {
  const std::vector<std::string>* texts = string_array(file, "tokenizer.ggml.merges");
  if (!texts) bad_tokenizer(file, "tokenizer.ggml.merges is missing; byte-level BPE needs it");
  std::vector<Merge> merges;
  merges.reserve(texts->size());
  for (size_t i = 0; i < texts->size(); ++i) merges.push_back(parse_merge(file, vocab, (*texts)[i], i));
  std::sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) {
    return a.left != b.left ? a.left < b.left : a.right != b.right ? a.right < b.right : a.rank < b.rank;
  });
  first_.assign(static_cast<size_t>(vocab.size()) + 1, 0);
  for (size_t i = 0; i < merges.size(); ++i) {
    const Merge& m = merges[i];
    if (i > 0 && merges[i - 1].left == m.left && merges[i - 1].right == m.right)
      bad_tokenizer(
          file,
          "tokenizer.ggml.merges[" + std::to_string(m.rank) + "] repeats [" + std::to_string(merges[i - 1].rank) + "]",
          m.rank);
    ++first_[static_cast<size_t>(m.left) + 1];
    rights_.push_back(m.right);
    merged_.push_back({m.rank, m.id});
  }
  for (size_t left = 1; left < first_.size(); ++left) first_[left] += first_[left - 1];

  if (vocab.unknown >= 0) return;
  for (size_t byte = 0; byte < 256; ++byte)
    if (vocab.byte_ids[byte] < 0)
      bad_tokenizer(file, "no token for byte " + std::to_string(byte) +
                              " and no unknown token: text with it could not be encoded");
}

void Bpe::encode(const Vocab& vocab, std::string_view piece, MergeWork& work, std::vector<int32_t>& out) const {
  std::vector<Symbol>& symbols = work.symbols;
  symbols.clear();
  for (uint32_t i = 0; i < piece.size(); ++i) symbols.push_back({i, 1, vocab.byte_ids[static_cast<uint8_t>(piece[i])]});
  merge_all(work, [&](const Symbol& a, const Symbol& b) {
    if (a.id < 0 || b.id < 0) return no_merge;
    const size_t left = static_cast<size_t>(a.id);
    const auto from = rights_.begin() + first_[left], to = rights_.begin() + first_[left + 1];
    const auto it = std::lower_bound(from, to, b.id);
    return it != to && *it == b.id ? merged_[static_cast<size_t>(it - rights_.begin())] : no_merge;
  });
  for (const Symbol& symbol : symbols)
    if (symbol.bytes > 0)
      out.push_back(symbol.id >= 0 ? symbol.id : vocab.unknown);  // the constructor saw to `unknown`
}

}  // namespace cutaway
