// Merging: what byte-level BPE and SentencePiece's BPE share. Of all neighbours that may merge, those of the lowest
// rank do, the leftmost first, until none may. Short pieces, which is nearly all, look for the next pair by going
// through all of them. Long ones keep pairs in one bucket per rank, so that even a megabyte of one letter is merged in
// sweeps from left to right, and nothing costs more than O(n log n).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

namespace cutaway {

struct Symbol {
  uint32_t begin, bytes;  // of the text; bytes 0: merged into the one before it
  int32_t id;             // token, or -1
};

struct Merged {
  uint32_t rank;  // lower merges first
  int32_t id;     // of the pair together
};
constexpr Merged no_merge{UINT32_MAX, -1};

// Buffers that one call of encode uses again for every piece.
struct MergeWork {
  std::vector<Symbol> symbols;
  std::vector<Merged> pairs;
  std::vector<int32_t> before, after;  // neighbours of each symbol, or -1
  std::function<void()> poll;          // called now and then during long work; may throw; may be empty
};

// find(left, right) -> Merged, for neighbours.
template <class Find>
void merge_few(MergeWork& work, Find find) {
  std::vector<Symbol>& symbols = work.symbols;
  std::vector<Merged>& pairs = work.pairs;  // pairs[i]: symbols i and i + 1
  pairs.clear();
  for (size_t i = 0; i + 1 < symbols.size(); ++i) pairs.push_back(find(symbols[i], symbols[i + 1]));
  while (!pairs.empty()) {
    const auto best =
        std::min_element(pairs.begin(), pairs.end(), [](const Merged& a, const Merged& b) { return a.rank < b.rank; });
    if (best->id < 0) return;
    const auto i = best - pairs.begin();
    const auto left = symbols.begin() + i;
    *left = {left->begin, left->bytes + left[1].bytes, best->id};
    symbols.erase(left + 1);
    pairs.erase(best);
    if (i > 0) pairs[static_cast<size_t>(i - 1)] = find(left[-1], left[0]);
    if (left + 1 != symbols.end()) pairs[static_cast<size_t>(i)] = find(left[0], left[1]);
  }
}

// The pairs of one rank that wait to be merged, leftmost first. Most arrive from left to right and stay in a plain
// list; one that comes after the bucket was opened, for a place left of the list's end, goes to a heap.
class Bucket {
 public:
  struct Pair {
    uint32_t left, bytes;  // index of the left symbol; bytes of both together, by which a pair that changed is known
    bool operator<(const Pair& other) const { return left < other.left; }
    bool operator>(const Pair& other) const { return left > other.left; }
  };

  void push(Pair pair) {
    if (!open_ || list_.empty() || !(pair < list_.back())) {
      list_.push_back(pair);
    } else {
      late_.push_back(pair);
      std::push_heap(late_.begin(), late_.end(), std::greater<Pair>());
    }
  }

  bool empty() const { return next_ == list_.size() && late_.empty(); }

  Pair pop() {
    if (!open_ && !std::is_sorted(list_.begin(), list_.end())) std::sort(list_.begin(), list_.end());
    open_ = true;
    if (late_.empty() || (next_ < list_.size() && list_[next_] < late_.front())) return list_[next_++];
    std::pop_heap(late_.begin(), late_.end(), std::greater<Pair>());
    const Pair pair = late_.back();
    late_.pop_back();
    return pair;
  }

 private:
  std::vector<Pair> list_, late_;
  size_t next_ = 0;
  bool open_ = false;
};

template <class Find>
void merge_many(MergeWork& work, Find find) {
  std::vector<Symbol>& symbols = work.symbols;
  std::vector<int32_t>&before = work.before, &after = work.after;
  const int32_t n = static_cast<int32_t>(symbols.size());
  before.resize(symbols.size());
  after.resize(symbols.size());
  std::map<uint32_t, Bucket> buckets;
  uint32_t steps = 0;
  const auto offer = [&](int32_t left) {
    if ((++steps & 0xFFFF) == 0 && work.poll) work.poll();
    const Symbol& a = symbols[static_cast<size_t>(left)];
    const Symbol& b = symbols[static_cast<size_t>(after[static_cast<size_t>(left)])];
    const Merged merged = find(a, b);
    if (merged.id >= 0) buckets[merged.rank].push({static_cast<uint32_t>(left), a.bytes + b.bytes});
  };
  for (int32_t i = 0; i < n; ++i) {
    before[static_cast<size_t>(i)] = i - 1;
    after[static_cast<size_t>(i)] = i + 1 < n ? i + 1 : -1;
    if (i + 1 < n) offer(i);
  }
  while (!buckets.empty()) {
    const auto lowest = buckets.begin();
    if (lowest->second.empty()) {
      buckets.erase(lowest);
      continue;
    }
    const Bucket::Pair pair = lowest->second.pop();
    Symbol& a = symbols[pair.left];
    const int32_t next = after[pair.left];
    if (a.bytes == 0 || next < 0) continue;
    Symbol& b = symbols[static_cast<size_t>(next)];
    if (a.bytes + b.bytes != pair.bytes) continue;
    a = {a.begin, pair.bytes, find(a, b).id};
    b.bytes = 0;
    const int32_t behind = after[pair.left] = after[static_cast<size_t>(next)];
    if (before[pair.left] >= 0) offer(before[pair.left]);
    if (behind < 0) continue;
    before[static_cast<size_t>(behind)] = static_cast<int32_t>(pair.left);
    offer(static_cast<int32_t>(pair.left));
  }
}

// Merges work.symbols; those with bytes 0 are gone afterwards.
template <class Find>
void merge_all(MergeWork& work, Find find) {
  constexpr size_t few = 48;
  if (work.symbols.size() <= few) merge_few(work, find);
  else merge_many(work, find);
}

}  // namespace cutaway
