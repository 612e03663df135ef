#include "text/sentencepiece.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/error.h"
#include "text/unicode.h"

namespace cutaway {
namespace {

// Index after the word that begins at `at`: blanks, then whatever is none.
size_t word_end(std::string_view text, size_t at) {
  const size_t letters = text.find_first_not_of(' ', at);
  return letters == std::string_view::npos ? text.size() : std::min(text.find(' ', letters), text.size());
}

bool ends_at_blanks(const Vocab& vocab) {
  return std::all_of(vocab.ordinary.begin(), vocab.ordinary.end(),
                     [](const auto& entry) { return word_end(entry.first, 0) == entry.first.size(); });
}

}  // namespace

SentencePiece::SentencePiece(const Vocab& vocab) : cut_at_blanks_(ends_at_blanks(vocab)) {
  std::vector<float> order = vocab.scores;
  std::sort(order.begin(), order.end(), std::greater<float>());
  order.erase(std::unique(order.begin(), order.end()), order.end());
  for (float score : vocab.scores) {
    const auto place = std::lower_bound(order.begin(), order.end(), score, std::greater<float>());
    ranks_.push_back(static_cast<uint32_t>(place - order.begin()));
  }
}

SentencePiece::SentencePiece(const Vocab& vocab, MergeTable merges, bool whole, bool fuse_unknown)
    : merges_(std::move(merges)), whole_(whole), fuse_unknown_(fuse_unknown), cut_at_blanks_(ends_at_blanks(vocab)) {}

void SentencePiece::encode(const Vocab& vocab, std::string_view stretch, size_t most, MergeWork& work,
                           std::vector<int32_t>& out) const {
  if (const int32_t id = whole_ ? vocab.find(stretch) : -1; id >= 0) {
    out.push_back(id);
    return;
  }
  size_t polled = 0, last_unknown = size_t(-2);  // index in `out`, far from any
  for (size_t at = 0; at < stretch.size() && out.size() <= most;) {
    const size_t end = cut_at_blanks_ ? word_end(stretch, at) : stretch.size();
    encode_word(vocab, stretch.substr(at, end - at), work, out, &last_unknown);
    at = end;
    if (at - polled >= (size_t{1} << 20) && work.poll) {
      work.poll();
      polled = at;
    }
  }
}

void SentencePiece::encode_word(const Vocab& vocab, std::string_view text, MergeWork& work, std::vector<int32_t>& out,
                                size_t* last_unknown) const {
  std::vector<Symbol>& symbols = work.symbols;
  symbols.clear();
  for (size_t at = 0; at < text.size();) {
    const uint32_t bytes = decode_utf8(text, at).bytes;
    symbols.push_back({static_cast<uint32_t>(at), bytes, vocab.find(text.substr(at, bytes))});
    at += bytes;
  }
  if (merges_) {
    merge_all(work, [&](const Symbol& a, const Symbol& b) { return merges_->find(a.id, b.id); });
  } else {
    merge_all(work, [&](const Symbol& a, const Symbol& b) -> Merged {
      const size_t bytes = size_t{a.bytes} + b.bytes;
      const int32_t id = bytes > vocab.longest ? -1 : vocab.find(text.substr(a.begin, bytes));
      return id < 0 ? no_merge : Merged{ranks_[static_cast<size_t>(id)], id};
    });
  }
  for (const Symbol& symbol : symbols) {
    if (symbol.bytes == 0) continue;
    if (symbol.id >= 0) {
      out.push_back(symbol.id);
      continue;
    }
    const std::string_view bytes = text.substr(symbol.begin, symbol.bytes);
    const auto byte_id = [&](char byte) { return vocab.byte_ids[static_cast<uint8_t>(byte)]; };
    if (std::all_of(bytes.begin(), bytes.end(), [&](char byte) { return byte_id(byte) >= 0; })) {
      for (char byte : bytes) out.push_back(byte_id(byte));
    } else if (!fuse_unknown_ || *last_unknown + 1 != out.size()) {
      out.push_back(vocab.unknown);
      *last_unknown = out.size() - 1;
    }
  }
}

}  // namespace cutaway
