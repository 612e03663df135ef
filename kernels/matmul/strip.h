// One strip of 16 weight rows times some tokens: what matmul and the kernels fused from it are made of.
// Included only by files that are compiled once per target; strip_cpu.cpp has the loops.
#pragma once

#include "matmul/matmul.h"
#include "simd.h"

namespace cutaway {

namespace CUTAWAY_TARGET {

struct Products;  // the kernels for one way to read strips

// A strip of a weight [N, K], as it is or unpacked.
struct Strip {
  const Format* format;
  const std::byte* data;
  int64_t K;
  const Products* products;
  const std::byte* ahead;  // what several tokens' products fetch meanwhile, for each 32 columns so many bytes
  int64_t ahead_step;
};

// Opens `count` strips of a weight from strip s on, to be multiplied with T tokens; `scratch` has unpacked_bytes() for
// each of them. While they are used, those that lie after them are fetched; past the last one that does nothing.
void open_strips(const Format& f, const std::byte* packed, int64_t s, int64_t count, int64_t K, int64_t T, bool rounded,
                 std::byte* scratch, Strip* out);

// A result's rows of one strip.
using Lanes = float[kStripRows];

// out[s][t][row] = strip s's row times x[t], for up to kStrips strips of the same K and up to kTile tokens, of `out`'s
// kTile places. x[t] points to K floats or K / 32 blocks.
void multiply(Strip* strips, int count, const void* const* x, int tokens, Lanes (*out)[kTile]);

// A strip's lanes of a row of y or bias, of which `left` are to come: the last strip may have fewer than 16.
CUTAWAY_INLINE void store_rows(float* y, f32x16 lanes, int64_t left) {
  if (left >= kStripRows) store(y, lanes);
  else store_first(y, lanes, static_cast<int>(left));
}
CUTAWAY_INLINE f32x16 load_rows(const float* bias, int64_t left) {
  return left >= kStripRows ? load(bias) : load_first(bias, static_cast<int>(left));
}

// Has the lines that n rows of y will be stored to fetched: rows of many columns lie on as many pages.
CUTAWAY_INLINE void expect_rows(float* y, int64_t N, int n) {
  for (int i = 0; i < n; ++i)
    for (int lane = 0; lane <= kStrips * kStripRows; lane += kStripRows) __builtin_prefetch(y + i * N + lane, 1);
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
