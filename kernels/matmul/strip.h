// One strip of 16 weight rows times some tokens: what matmul and the kernels fused from it are made of.
// Included only by files that are compiled once per target; strip_cpu.cpp has the loops.
#pragma once

#include "matmul/matmul.h"
#include "simd.h"

namespace cutaway {

namespace CUTAWAY_TARGET {

// Strips of one weight, as many rows of x as fit, and room for one unpacked strip.
struct Strip {
  const Format* format;
  const std::byte* data;      // packed
  const std::byte* unpacked;  // or null: it is read as it is packed
  int64_t K;
  bool rounded;  // x is q8 blocks
};

// Strip s of a weight, to be multiplied with T tokens; `scratch` is unpacked_bytes() long.
Strip open_strip(const Format& f, const std::byte* packed, int64_t s, int64_t K, int64_t T, bool rounded,
                 std::byte* scratch);

// out[t][row] = the strip's row times x[t], for up to kTile tokens, of `out`'s kTile places. x[t] points to K floats or
// K / 32 blocks.
void multiply(const Strip& strip, const void* const* x, int tokens, float (*out)[kStripRows]);

// The first `rows` lanes of a strip's results, of 16 or of a last strip's fewer.
CUTAWAY_INLINE void store_rows(float* y, f32x16 lanes, int rows) {
  if (rows == kStripRows) store(y, lanes);
  else store_first(y, lanes, rows);
}

// The rows of x that one multiply takes: tokens [t, t + n) of [T, K].
struct Rows {
  const void* x[kTile];
  int n;
};

CUTAWAY_INLINE Rows rows_from(const float* x, const void* blocks, int64_t t, int64_t T, int64_t K) {
  Rows out;
  const auto* first = static_cast<const std::byte*>(blocks ? blocks : x);
  const int64_t bytes = blocks ? K / 32 * 48 : K * 4;
  out.n = static_cast<int>(T - t < kTile ? T - t : kTile);
  for (int i = 0; i < out.n; ++i) out.x[i] = first + (t + i) * bytes;
  return out;
}

}  // namespace CUTAWAY_TARGET
}  // namespace cutaway
