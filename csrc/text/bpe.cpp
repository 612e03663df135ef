#include "text/bpe.h"

#include <algorithm>

#include "base/error.h"

namespace cutaway {

bool split_merge(const std::string& text, MergeText* merge) {
  const size_t blank = text.find(' ');
  if (blank == std::string::npos || blank == 0 || blank + 1 == text.size() ||
      text.find(' ', blank + 1) != std::string::npos)
    return false;
  *merge = {text.substr(0, blank), text.substr(blank + 1)};
  return true;
}

MergeTable::MergeTable(const std::string& path, const std::string& name, const std::vector<MergeText>& merges,
                       const Vocab& vocab, bool byte_level) {
  struct Row {
    int32_t left, right, id;
    uint32_t rank;
  };
  std::vector<Row> rows;
  rows.reserve(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    const std::string left = token_bytes(merges[i].left, byte_level), right = token_bytes(merges[i].right, byte_level);
    const Row row{vocab.find(left), vocab.find(right), vocab.find(left + right), static_cast<uint32_t>(i)};
    const char* wrong = row.left < 0    ? "the left part is no token"
                        : row.right < 0 ? "the right part is no token"
                        : row.id < 0    ? "the two together are no token"
                                        : nullptr;
    if (wrong)
      bad_tokenizer(path,
                    name + "[" + std::to_string(i) + "] is \"" + printable(merges[i].left + " " + merges[i].right) +
                        "\": " + wrong,
                    static_cast<int64_t>(i));
    rows.push_back(row);
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.left != b.left ? a.left < b.left : a.right != b.right ? a.right < b.right : a.rank < b.rank;
  });
  first_.assign(static_cast<size_t>(vocab.size()) + 1, 0);
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    if (i > 0 && rows[i - 1].left == row.left && rows[i - 1].right == row.right)
      bad_tokenizer(path,
                    name + "[" + std::to_string(row.rank) + "] repeats [" + std::to_string(rows[i - 1].rank) + "]",
                    row.rank);
    ++first_[static_cast<size_t>(row.left) + 1];
    rights_.push_back(row.right);
    merged_.push_back({row.rank, row.id});
  }
  for (size_t left = 1; left < first_.size(); ++left) first_[left] += first_[left - 1];
}

Merged MergeTable::find(int32_t left, int32_t right) const {
  if (left < 0 || right < 0) return no_merge;
  const auto from = rights_.begin() + first_[static_cast<size_t>(left)];
  const auto to = rights_.begin() + first_[static_cast<size_t>(left) + 1];
  const auto it = std::lower_bound(from, to, right);
  return it != to && *it == right ? merged_[static_cast<size_t>(it - rights_.begin())] : no_merge;
}

void encode_bytes(const MergeTable& merges, const Vocab& vocab, std::string_view piece, MergeWork& work,
                  std::vector<int32_t>& out) {
  std::vector<Symbol>& symbols = work.symbols;
  symbols.clear();
  for (uint32_t i = 0; i < piece.size(); ++i) symbols.push_back({i, 1, vocab.byte_ids[static_cast<uint8_t>(piece[i])]});
  merge_all(work, [&](const Symbol& a, const Symbol& b) { return merges.find(a.id, b.id); });
  for (const Symbol& symbol : symbols)
    if (symbol.bytes > 0) out.push_back(symbol.id >= 0 ? symbol.id : vocab.unknown);  // check_bytes saw to `unknown`
}

}  // namespace cutaway
