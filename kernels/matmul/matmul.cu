#include "matmul.h"
#include "product.cuh"

namespace cutaway::cuda {

// w on a device is plain float32 [N, K]: what the file stores, unpacked when it was loaded.
static __global__ void matmul_rows(Matmul a) {
  const float* w = reinterpret_cast<const float*>(a.w);
  for (int64_t n = first_row(); n < a.N; n += row_step()) {
    for (int64_t t = int64_t{blockIdx.y} * kTokens; t < a.T; t += int64_t{gridDim.y} * kTokens) {
      const int tokens = static_cast<int>(a.T - t < kTokens ? a.T - t : kTokens);
      float y[kTokens];
      products(a.x + t * a.K, w + n * a.K, a.K, tokens, y);
#pragma unroll
      for (int i = 0; i < kTokens; ++i)
        if (i < tokens && lane() == i) a.y[(t + i) * a.N + n] = a.bias ? y[i] + a.bias[n] : y[i];
    }
  }
}

static void launch(const Matmul& a, const CudaLaunch& on) {
  if (a.T * a.N > 0) matmul_rows<<<product_blocks(a.T, a.N), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_matmul;
const CudaKernel cuda_matmul = cuda_kernel<Matmul, launch>("matmul", "cuda");

}  // namespace cutaway::cuda
