// One row of a weight times some rows of x by one warp, shared by matmul and gated_matmul: one order, whatever the
// number of tokens, so prefill gives the bits of decode and the fused op those of its chain.
#pragma once

#include "cuda.cuh"

namespace cutaway::cuda {

constexpr int kTokens = 8;                // that share one pass over a row of w
constexpr int64_t kProductColumns = 512;  // added up apart, 16 a lane, so that the error does not grow with K

// out[i] = x[i] . w for i < tokens, the same on every lane. x [tokens, K], w [K], plain float32.
__device__ inline void products(const float* x, const float* w, int64_t K, int tokens, float out[kTokens]) {
  for (int i = 0; i < kTokens; ++i) out[i] = 0.0f;
  for (int64_t begin = 0; begin < K; begin += kProductColumns) {
    const int64_t end = begin + kProductColumns < K ? begin + kProductColumns : K;
    float part[kTokens] = {};
    for (int64_t k = begin + lane(); k < end; k += kLanes) {
      const float weight = w[k];
#pragma unroll
      for (int i = 0; i < kTokens; ++i)
        if (i < tokens) part[i] = fmaf(x[i * K + k], weight, part[i]);
    }
#pragma unroll
    for (int i = 0; i < kTokens; ++i) out[i] = out[i] + part[i];
  }
#pragma unroll
  for (int i = 0; i < kTokens; ++i) out[i] = warp_sum(out[i]);
}

// Of a launch over [N] in warps and [T] in tiles of kTokens.
inline dim3 product_blocks(int64_t T, int64_t N) {
  const int64_t tiles = (T + kTokens - 1) / kTokens;
  return {blocks_for(N, kWarps), static_cast<unsigned>(tiles < 65535 ? tiles : 65535)};
}

}  // namespace cutaway::cuda
