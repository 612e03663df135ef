// rope: turn each pair (x[i], x[i + r/2]), i < r/2, of every head by the angle positions[t] * frequencies[i]
//
//   c = attention_factor * cos(angle), s = attention_factor * sin(angle)
//   y[i] = x[i] c - x[i + r/2] s,  y[i + r/2] = x[i] s + x[i + r/2] c,  y[j] = x[j] for j >= r
//
// The angle, its cosine and its sine are float64, rounded to float32 once: an angle in float32 is off by 3e-3 at
// position 131072. Code common to all targets computes them, and each thread keeps those of its last tokens: a token's
// heads, its keys and every layer turn by the same angles, and sines in float64 take longer than a layer's turns.
//
// Source   Su et al. 2021, arXiv:2104.09864, sec. 3.4.2, half-split pairs as in GPT-NeoX; attention_factor of YaRN,
//          Peng et al. 2023, arXiv:2309.00071, eq. 15
// Shapes   x [T, H, E], positions [T] -> y [T, H, E]; frequencies [r/2] in radians a position, r <= E
// Formats  x f32; positions i32; frequencies float64: a Tensor that points to doubles and whose format is null
// Refuses  r > E; another number of positions; a negative position   Cost  8 T H E bytes, 3 T H r operations
#pragma once

#include "op.h"

namespace cutaway {

struct Rope {
  const float* x;             // [T, H, E]
  const int32_t* positions;   // [T]
  const double* frequencies;  // [half]
  float* y;                   // [T, H, E]
  int64_t T, H, E, half;
  double attention_factor;

  static Shape shape(const Call& call);
  static Rope bind(const Call& call);
  int64_t units() const { return T; }
  size_t scratch_bytes() const { return 0; }
};

// What the calling thread keeps for one table of frequencies and one attention_factor.
struct RopeTurns;
RopeTurns& rope_turns(const Rope& a);

// cosines [half] and behind them sines [half] of a position, times attention_factor; until the next position is asked.
const float* rope_turn(RopeTurns& turns, int32_t position);

CUTAWAY_DECLARE(void rope(const Rope& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
