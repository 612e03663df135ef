// Sums over a row by one warp, shared by the norms: one order, so a fused norm gives the bits of the chain it replaces.
#pragma once

#include "cuda.cuh"

namespace cutaway::cuda {

// Sums of 512 elements, 16 a lane, are added up apart, so that the error does not grow with D where all round the same
// way.
constexpr int64_t kRowBlock = 512;

// sum over i of term(i), i < D
template <class Term>
__device__ float row_sum(int64_t D, Term term) {
  float total = 0.0f;
  for (int64_t begin = 0; begin < D; begin += kRowBlock) {
    const int64_t end = begin + kRowBlock < D ? begin + kRowBlock : D;
    float part = 0.0f;
    for (int64_t i = begin + lane(); i < end; i += kLanes) part = term(i, part);
    total = total + part;
  }
  return warp_sum(total);
}

__device__ inline float row_mean(const float* x, int64_t D) {
  return row_sum(D, [=](int64_t i, float part) { return part + x[i]; }) / static_cast<float>(D);
}

// mean(((x - centre) * factor)^2)
__device__ inline float row_mean_square(const float* x, int64_t D, float centre, float factor) {
  return row_sum(D,
                 [=](int64_t i, float part) {
                   const float d = (x[i] - centre) * factor;
                   return fmaf(d, d, part);
                 }) /
         static_cast<float>(D);
}

// sqrt(mean((x - centre)^2) + eps); where the squares overflow, measured again in units of 2^80, as on the CPU (row.h).
__device__ inline float row_scale(const float* x, int64_t D, float centre, float eps) {
  const float mean = row_mean_square(x, D, centre, 1.0f);
  if (mean <= 3.40282347e38f) return sqrtf(mean + eps);
  return sqrtf(row_mean_square(x, D, centre, 8.271806125530277e-25f)) * 1.2089258196146292e24f;
}

}  // namespace cutaway::cuda
