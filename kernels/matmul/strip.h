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

// Opens `count` strips of a weight from strip s on, to be multiplied with T tokens; `scratch` has unpacked_bytes() for
// each of them.
void open_strips(const Format& f, const std::byte* packed, int64_t s, int64_t count, int64_t K, int64_t T, bool rounded,
                 std::byte* scratch, Strip* out);

// A result's rows of one strip.
using Lanes = float[kStripRows];

// out[s][t][row] = strip s's row times x[t], for up to kStrips strips of the same K and up to kTile tokens, of `out`'s
// kTile places. x[t] points to K floats or K / 32 blocks.
void multiply(const Strip* strips, int count, const void* const* x, int tokens, Lanes (*out)[kTile]);

// A strip's lanes of a row of y or bias, of which `left` are to come: the last strip may have fewer than 16.
CUTAWAY_INLINE void store_rows(float* y, f32x16 lanes, int64_t left) {
  if (left >= kStripRows) store(y, lanes);
  else store_first(y, lanes, static_cast<int>(left));
}
CUTAWAY_INLINE f32x16 load_rows(const float* bias, int64_t left) {
  return left >= kStripRows ? load(bias) : load_first(bias, static_cast<int>(left));
}

// Has a share of the strip that lies after this one fetched, of `parts` equal ones: it is then here when its turn
// comes. Past the last strip nothing is read: fetching never faults.
CUTAWAY_INLINE void expect_strip(const Strip& strip, int64_t after, int64_t part, int64_t parts) {
  const auto bytes = static_cast<int64_t>(strip_bytes(*strip.format, strip.K));
  const auto* next = reinterpret_cast<const char*>(strip.data) + after * bytes;
  for (int64_t at = bytes * part / parts / 64 * 64; at < bytes * (part + 1) / parts; at += 64)
    __builtin_prefetch(next + at, 0, 2);
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
