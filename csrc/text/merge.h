// Merging: what byte-level BPE and SentencePiece's BPE share. Symbols stand in a linked list; a heap holds every pair
// that may merge, best first; a pair that has changed since it was pushed is dropped when it comes up. n symbols cost
// O(n log n), whatever they are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace cutaway {

struct Symbol {
  uint32_t begin, bytes;  // of the text; bytes 0: merged into the one before it
  int32_t id;             // token, or -1
  int32_t before, after;  // neighbours, or -1
};

struct Merged {
  uint32_t rank;  // lower merges first
  int32_t id;     // of the pair together; -1: the pair does not merge
};

struct Candidate {
  uint32_t rank, left, bytes;  // left: index of its first symbol; bytes: of both together
  int32_t id;
  // std heaps put the largest in front: the lowest rank, and of equal ranks the leftmost.
  bool operator<(const Candidate& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
};

// Buffers that one call of encode uses again for every piece.
struct MergeWork {
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
  std::function<void()> poll;  // called now and then during long work; may throw; may be empty
  uint32_t steps = 0;
};

// Merges work.symbols until nothing does. find(left, right) -> Merged looks a pair of neighbours up.
template <class Find>
void merge_all(MergeWork& work, Find find) {
  std::vector<Symbol>& symbols = work.symbols;
  std::vector<Candidate>& heap = work.heap;
  const auto candidate = [&](int32_t left) {
    const Symbol& a = symbols[static_cast<size_t>(left)];
    const Symbol& b = symbols[static_cast<size_t>(a.after)];
    const Merged merged = find(a, b);
    if (merged.id >= 0) heap.push_back({merged.rank, static_cast<uint32_t>(left), a.bytes + b.bytes, merged.id});
    return merged.id >= 0;
  };
  heap.clear();
  for (size_t i = 0; i + 1 < symbols.size(); ++i) candidate(static_cast<int32_t>(i));
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    if ((++work.steps & 0xFFFF) == 0 && work.poll) work.poll();
    std::pop_heap(heap.begin(), heap.end());
    const Candidate best = heap.back();
    heap.pop_back();
    Symbol& a = symbols[best.left];
    if (a.bytes == 0 || a.after < 0) continue;
    Symbol& b = symbols[static_cast<size_t>(a.after)];
    if (a.bytes + b.bytes != best.bytes) continue;
    a.bytes = best.bytes;
    a.id = best.id;
    a.after = b.after;
    b.bytes = 0;
    if (a.after >= 0) {
      symbols[static_cast<size_t>(a.after)].before = static_cast<int32_t>(best.left);
      if (candidate(static_cast<int32_t>(best.left))) std::push_heap(heap.begin(), heap.end());
    }
    if (a.before >= 0 && candidate(a.before)) std::push_heap(heap.begin(), heap.end());
  }
}

}  // namespace cutaway
