// attention_scores: scores[t, h, s] = scale * q[t, h] . keys[s, g] where query t sees position s, else -inf
//
// Query t is at position p = S - T + t; it sees s <= p, and with a window W only p - s < W. Query head h uses key head
// g = h / (H / G).
//
// Source   Vaswani et al. 2017, arXiv:1706.03762, eq. 1; grouped heads: Ainslie et al. 2023, arXiv:2305.13245
// Shapes   q [T, H, E], keys [S, G, E] -> scores [T, H, S]      Formats  q f32; keys f32 or f16
// Refuses  H not a multiple of G; S < T; another E; a scale that is not finite; a window that is not whole
// Cost     4 T H E + 4 T H S bytes and the keys, 2 T H S E operations (half of it where T = S)
#pragma once

#include "cached.h"

namespace cutaway {

struct AttentionScores {
  const float* q;  // [T, H, E]
  Cached keys;     // [S, G, E]
  float* scores;   // [T, H, S]
  int64_t T, H;
  float scale;
  int64_t window;  // 0: none

  static Shape shape(const Call& call);
  static AttentionScores bind(const Call& call);
  [[gnu::always_inline]] Tiles tiles() const { return Tiles(T, H, keys.G, 0); }
  int64_t units() const { return tiles().units(); }
  int64_t grain() const { return tiles().grain(); }
  size_t scratch_bytes() const { return tiles().score_bytes(keys.E); }
};

CUTAWAY_DECLARE(void attention_scores(const AttentionScores& a, int64_t begin, int64_t end, std::byte* scratch))

}  // namespace cutaway
