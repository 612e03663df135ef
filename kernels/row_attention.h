// One query against the positions it sees, shared by attention_scores, attention_mix and attention: one order, so fused
// attention gives the bits of its chain, and a token the same bits whether it comes alone or with others.
// Included by *_cpu.cpp files only, like simd.h.
#pragma once

#include <algorithm>

#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

CUTAWAY_INLINE f32x16 load_element(const float* p) { return load(p); }
CUTAWAY_INLINE f32x16 load_element(const uint16_t* p) { return load_f16(p); }
CUTAWAY_INLINE f32x16 load_element_first(const float* p, int n) { return load_first(p, n); }
CUTAWAY_INLINE f32x16 load_element_first(const uint16_t* p, int n) { return load_f16_first(p, n); }

// out[s] = scale * q . keys[s] for s in [first, last); -inf where s is below first in the same group of 16. `keys` is
// the head's key at position 0; the next position's is `stride` elements on.
template <class Element>
CUTAWAY_INLINE void score_row(const float* q, const Element* keys, int64_t stride, int64_t E, int64_t first,
                              int64_t last, float scale, float* out) {
  const int tail = static_cast<int>(E % 16);
  const int64_t whole = E - tail;
  for (int64_t s = first / 16 * 16; s < last; s += 16) {
    const int seen = static_cast<int>(std::min<int64_t>(16, last - s));
    f32x16 row[16];
    for (int r = 0; r < 16; ++r) {
      row[r] = broadcast(0.0f);
      if (r >= seen) continue;
      const Element* k = keys + (s + r) * stride;
      for (int64_t e = 0; e < whole; e += 16) row[r] = fma(load(q + e), load_element(k + e), row[r]);
      if (tail) row[r] = fma(load_first(q + whole, tail), load_element_first(k + whole, tail), row[r]);
    }
    const f32x16 scores = sums(row) * broadcast(scale);
    if (seen == 16) store(out + s, scores);
    else store_first(out + s, scores, seen);
    for (int64_t before = s; before < first; ++before) out[before] = -__builtin_inff();
  }
}

// z[e] = sum over s in [first, last) of pattern[s] * values[s][e]. Positions are added up in blocks of 64, so that the
// error does not grow with their number. A position whose pattern is exactly 0 takes no part, whatever its value holds.
template <class Element>
CUTAWAY_INLINE void mix_row(const float* pattern, const Element* values, int64_t stride, int64_t E, int64_t first,
                            int64_t last, float* z) {
  for (int64_t e = 0; e < E; e += 64) {
    const int width = static_cast<int>(std::min<int64_t>(64, E - e));
    f32x16 total[4], part[4];
    for (int j = 0; j < 4; ++j) total[j] = part[j] = broadcast(0.0f);
    for (int64_t s = first; s < last; ++s) {
      if (s % 64 == 0)
        for (int j = 0; j < 4; ++j) {
          total[j] = total[j] + part[j];
          part[j] = broadcast(0.0f);
        }
      if (pattern[s] == 0.0f) continue;
      const f32x16 p = broadcast(pattern[s]);
      const Element* v = values + s * stride + e;
      if (width == 64) {
        for (int j = 0; j < 4; ++j) part[j] = fma(p, load_element(v + 16 * j), part[j]);
      } else {
        for (int j = 0; 16 * j < width; ++j)
          part[j] =
              fma(p, width - 16 * j >= 16 ? load_element(v + 16 * j) : load_element_first(v + 16 * j, width - 16 * j),
                  part[j]);
      }
    }
    for (int j = 0; 16 * j < width; ++j) {
      const f32x16 sum_of_blocks = total[j] + part[j];
      if (width - 16 * j >= 16) store(z + e + 16 * j, sum_of_blocks);
      else store_first(z + e + 16 * j, sum_of_blocks, width - 16 * j);
    }
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
