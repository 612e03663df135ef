#include "cuda.cuh"
#include "gelu.h"

namespace cutaway::cuda {

static __global__ void gelu_each(Gelu a) {
  for (int64_t i = first_item(); i < a.n; i += item_step()) {
    const float x = a.x[i];
    // -2 u = x (-2 sqrt(2/pi) - 2 sqrt(2/pi) 0.044715 x^2)
    const float minus_2u = x * fmaf(x * x, -0.0713548162726f, -1.59576912160573f);
    a.y[i] = x / (1.0f + expf(minus_2u));
  }
}

static void launch(const Gelu& a, const CudaLaunch& on) {
  if (a.n) gelu_each<<<blocks_for(a.n), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_gelu;
const CudaKernel cuda_gelu = cuda_kernel<Gelu, launch>("gelu", "cuda");

}  // namespace cutaway::cuda
