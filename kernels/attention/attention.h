// attention: z[t, h] = sum over s of softmax_s(scale * q[t, h] . keys[s, g]) * values[s, g], over the s that query t
// sees
//
// Query t is at position p = S - T + t; it sees s <= p, and with a window W only p - s < W. Query head h uses key and
// value head g = h / (H / G). With sinks, exp(sinks[h]) joins the divisor as one more position that has no value. Fuses
// attention_scores, softmax and attention_mix without the [T, H, S] between them; gives the same bits as that chain,
// and each token the same bits whatever else is in the call.
//
// Source   Vaswani et al. 2017, arXiv:1706.03762, eq. 1; grouped heads: Ainslie et al. 2023, arXiv:2305.13245
// Shapes   q [T, H, E], keys [S, G, E], values [S, G, E], sinks [H] or none -> z [T, H, E]      Formats  q f32; keys,
// values f32 or f16 Refuses  H not a multiple of G; S < T; shapes that differ; a scale that is not finite; a window
// that is not whole Cost     8 T H E bytes, the keys and values, 4 T H S E operations (half of it where T = S)
#pragma once

#include "cached.h"

namespace cutaway {

struct Attention {
  const float* q;       // [T, H, E]
  Cached keys, values;  // [S, G, E]
  float* z;             // [T, H, E]
  int64_t T, H;
  float scale;
  int64_t window;      // 0: none
  const float* sinks;  // [H] or null

  static Shape shape(const Call& call);
  static Attention bind(const Call& call);
  // A query's scores, of the positions that its tile sees and up to 512 before them. No power of two: rows that lie a
  // multiple of 4 KB apart would share their places in the cache.
  int64_t row_floats() const {
    const int64_t seen = window ? std::min(keys.S, window + Tiles::kQueries + 512) : keys.S;
    return (seen + 15) / 32 * 32 + 16;
  }
  [[gnu::always_inline]] Tiles tiles() const { return Tiles(T, H, keys.G, row_floats()); }
  int64_t units() const { return tiles().units(); }
  int64_t grain() const { return tiles().grain(); }
  size_t scratch_bytes() const {
    return static_cast<size_t>(tiles().queries * row_floats()) * sizeof(float) + tiles().score_bytes(keys.E);
  }
};

CUTAWAY_DECLARE(void attention(const Attention& a, int64_t begin, int64_t end, std::byte* scratch))

}  // namespace cutaway
