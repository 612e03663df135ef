#include "gated_matmul.h"
#include "matmul/product.cuh"

namespace cutaway::cuda {

static __global__ void gated_matmul_rows(GatedMatmul a) {
  const Matmul& m = a.gate;
  const float *gate = reinterpret_cast<const float*>(a.gate.w), *up = reinterpret_cast<const float*>(a.up.w);
  for (int64_t n = first_row(); n < m.N; n += row_step()) {
    for (int64_t t = int64_t{blockIdx.y} * kTokens; t < m.T; t += int64_t{gridDim.y} * kTokens) {
      const int tokens = static_cast<int>(m.T - t < kTokens ? m.T - t : kTokens);
      float pre[kTokens], linear[kTokens];
      products(m.x + t * m.K, gate + n * m.K, m.K, tokens, pre);
      products(m.x + t * m.K, up + n * m.K, m.K, tokens, linear);
#pragma unroll
      for (int i = 0; i < kTokens; ++i)
        if (i < tokens && lane() == i) a.y[(t + i) * m.N + n] = silu_mul_of(pre[i], linear[i]);
    }
  }
}

static void launch(const GatedMatmul& a, const CudaLaunch& on) {
  if (a.gate.T * a.gate.N > 0) gated_matmul_rows<<<product_blocks(a.gate.T, a.gate.N), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_gated_matmul;
const CudaKernel cuda_gated_matmul = cuda_kernel<GatedMatmul, launch>("gated_matmul", "cuda");

}  // namespace cutaway::cuda
