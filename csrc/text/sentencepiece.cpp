#include "text/sentencepiece.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "text/unicode.h"

namespace cutaway {
namespace {

// Index after the word that begins at `at`: blanks, then whatever is none.
size_t word_end(std::string_view text, size_t at) {
  const size_t letters = text.find_first_not_of(' ', at);
  return letters == std::string_view::npos ? text.size() : std::min(text.find(' ', letters), text.size());
}

}  // namespace

SentencePiece::SentencePiece(const File& file, const Vocab& vocab)
    : space_prefix_(file.get_bool("tokenizer.ggml.add_space_prefix", true)) {
  std::vector<float> order = vocab.scores;
  std::sort(order.begin(), order.end(), std::greater<float>());
  order.erase(std::unique(order.begin(), order.end()), order.end());
  for (float score : vocab.scores) {
    const auto place = std::lower_bound(order.begin(), order.end(), score, std::greater<float>());
    ranks_.push_back(static_cast<uint32_t>(place - order.begin()));
  }
  cut_at_blanks_ = std::all_of(vocab.ordinary.begin(), vocab.ordinary.end(),
                               [](const auto& entry) { return word_end(entry.first, 0) == entry.first.size(); });
}

void SentencePiece::encode(const Vocab& vocab, std::string_view stretch, size_t most, MergeWork& work,
                           std::vector<int32_t>& out) const {
  if (stretch.empty()) return;
  // U+2581 in the text and a blank are one and the same to this vocabulary.
  std::string text = space_prefix_ ? " " : "";
  for (size_t at = 0; at < stretch.size(); ++at) {
    const bool blank = stretch.substr(at, 3) == "\xE2\x96\x81";
    text += blank ? ' ' : stretch[at];
    at += blank ? 2 : 0;
  }
  size_t polled = 0;
  for (size_t at = 0; at < text.size() && out.size() <= most;) {
    const size_t end = cut_at_blanks_ ? word_end(text, at) : text.size();
    encode_word(vocab, std::string_view(text).substr(at, end - at), work, out);
    at = end;
    if (at - polled >= (size_t{1} << 20) && work.poll) {
      work.poll();
      polled = at;
    }
  }
}

void SentencePiece::encode_word(const Vocab& vocab, std::string_view text, MergeWork& work,
                                std::vector<int32_t>& out) const {
  std::vector<Symbol>& symbols = work.symbols;
  symbols.clear();
  for (size_t at = 0; at < text.size();) {
    const uint32_t bytes = decode_utf8(text, at).bytes;
    symbols.push_back({static_cast<uint32_t>(at), bytes, vocab.find(text.substr(at, bytes))});
    at += bytes;
  }
  merge_all(work, [&](const Symbol& a, const Symbol& b) -> Merged {
    const size_t bytes = size_t{a.bytes} + b.bytes;
    const int32_t id = bytes > vocab.longest ? -1 : vocab.find(text.substr(a.begin, bytes));
    return id < 0 ? no_merge : Merged{ranks_[static_cast<size_t>(id)], id};
  });
  for (const Symbol& symbol : symbols) {
    if (symbol.bytes == 0) continue;
    if (symbol.id >= 0) {
      out.push_back(symbol.id);
      continue;
    }
    const std::string_view bytes = text.substr(symbol.begin, symbol.bytes);
    const auto byte_id = [&](char byte) { return vocab.byte_ids[static_cast<uint8_t>(byte)]; };
    if (std::any_of(bytes.begin(), bytes.end(), [&](char byte) { return byte_id(byte) < 0; })) {
      out.push_back(vocab.unknown);
      continue;
    }
    for (char byte : bytes) out.push_back(byte_id(byte));
  }
}

}  // namespace cutaway
