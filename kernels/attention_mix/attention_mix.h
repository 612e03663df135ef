// attention_mix: z[t, h] = sum over s of pattern[t, h, s] * values[s, g],  g = h / (H / G)
//
// A position whose pattern is exactly 0 takes no part: not even a NaN among the values that a token must not see
// reaches it.
//
// Source   Vaswani et al. 2017, arXiv:1706.03762, eq. 1; grouped heads: Ainslie et al. 2023, arXiv:2305.13245
// Shapes   pattern [T, H, S], values [S, G, E] -> z [T, H, E]      Formats  pattern f32; values f32 or f16
// Refuses  H not a multiple of G; another S
// Cost     4 T H S + 4 T H E bytes and the values, 2 T H S E operations
#pragma once

#include "cached.h"

namespace cutaway {

struct AttentionMix {
  const float* pattern;  // [T, H, S]
  Cached values;         // [S, G, E]
  float* z;              // [T, H, E]
  int64_t T, H;

  static Shape shape(const Call& call);
  static AttentionMix bind(const Call& call);
  [[gnu::always_inline]] Tiles tiles() const { return Tiles(T, H, values.G, 0); }
  int64_t units() const { return tiles().units(); }
  int64_t grain() const { return tiles().grain(); }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void attention_mix(const AttentionMix& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
