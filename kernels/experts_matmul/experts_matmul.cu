#include "experts_matmul.h"
#include "matmul/product.cuh"

namespace cutaway::cuda {

// w on a device is plain float32 [X, N, K]. A warp takes one element of y. An index that is none, which only a hook can
// have left, gives NaN.
static __global__ void experts_matmul_rows(ExpertsMatmul a) {
  const float* w = reinterpret_cast<const float*>(a.w);
  for (int64_t i = first_row(); i < a.T * a.A * a.N; i += row_step()) {
    const int64_t choice = i / a.N, n = i % a.N;
    const int64_t expert = a.indices[choice], row = a.own_rows ? choice : choice / a.A;
    float y[kTokens] = {NAN};
    if (expert >= 0 && expert < a.X) {
      products(a.x + row * a.K, w + (expert * a.N + n) * a.K, a.K, 1, y);
      if (a.bias) y[0] = y[0] + a.bias[expert * a.N + n];
    }
    if (lane() == 0) a.y[i] = y[0];
  }
}

static void launch(const ExpertsMatmul& a, const CudaLaunch& on) {
  const int64_t items = a.T * a.A * a.N;
  if (items) experts_matmul_rows<<<blocks_for(items, kWarps), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_experts_matmul;
const CudaKernel cuda_experts_matmul = cuda_kernel<ExpertsMatmul, launch>("experts_matmul", "cuda");

}  // namespace cutaway::cuda
