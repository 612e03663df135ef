// Sums over a row, shared by the norms: one order, so a fused norm gives the bits of the chain it replaces.
// Included by *_cpu.cpp files only, like simd.h.
#pragma once

#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

// Sums of 256 elements are added up apart, so that the error does not grow with D where all round the same way.
constexpr int64_t kRowBlock = 256;

// mean(x) over D elements, in 16 sums side by side.
CUTAWAY_INLINE float row_mean(const float* x, int64_t D) {
  f32x16 total = broadcast(0.0f);
  for (int64_t begin = 0; begin < D; begin += kRowBlock) {
    const int64_t end = begin + kRowBlock < D ? begin + kRowBlock : D;
    f32x16 part = broadcast(0.0f);
    int64_t i = begin;
    for (; i + 16 <= end; i += 16) part = part + load(x + i);
    if (i < end) part = part + load_first(x + i, static_cast<int>(end - i));
    total = total + part;
  }
  return sum(total) / static_cast<float>(D);
}

// mean(((x - centre) * factor)^2)
CUTAWAY_INLINE float row_mean_square(const float* x, int64_t D, float centre, float factor) {
  const f32x16 c = broadcast(centre), f = broadcast(factor);
  f32x16 total = broadcast(0.0f);
  for (int64_t begin = 0; begin < D; begin += kRowBlock) {
    const int64_t end = begin + kRowBlock < D ? begin + kRowBlock : D;
    f32x16 part = broadcast(0.0f);
    int64_t i = begin;
    for (; i + 16 <= end; i += 16) {
      f32x16 d = (load(x + i) - c) * f;
      part = fma(d, d, part);
    }
    if (i < end) {
      f32x16 d = (load_first(x + i, static_cast<int>(end - i), centre) - c) * f;
      part = fma(d, d, part);
    }
    total = total + part;
  }
  return sum(total) / static_cast<float>(D);
}

// sqrt(mean((x - centre)^2) + eps). Squares of finite values above 1.8e19 overflow, and dividing by that infinity would
// turn the row into zeros without a word; so such a row is measured again in units of 2^80, where eps is nothing.
CUTAWAY_INLINE float row_scale(const float* x, int64_t D, float centre, float eps) {
  float mean = row_mean_square(x, D, centre, 1.0f);
  if (mean <= 0x1.fffffep127f) return std::sqrt(mean + eps);
  return std::sqrt(row_mean_square(x, D, centre, 0x1p-80f)) * 0x1p80f;
}

}  // namespace cutaway::CUTAWAY_TARGET
