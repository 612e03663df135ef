#include "cuda.cuh"
#include "gelu_mul.h"

namespace cutaway::cuda {

static __global__ void gelu_mul_each(GeluMul a) {
  for (int64_t i = first_item(); i < a.n; i += item_step()) a.y[i] = gelu_of(a.pre[i]) * a.pre_linear[i];
}

static void launch(const GeluMul& a, const CudaLaunch& on) {
  if (a.n) gelu_mul_each<<<blocks_for(a.n), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_gelu_mul;
const CudaKernel cuda_gelu_mul = cuda_kernel<GeluMul, launch>("gelu_mul", "cuda");

}  // namespace cutaway::cuda
