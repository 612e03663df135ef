#include "cuda.cuh"
#include "silu_mul.h"

namespace cutaway::cuda {

static __global__ void silu_mul_each(SiluMul a) {
  for (int64_t i = first_item(); i < a.n; i += item_step()) a.y[i] = silu_mul_of(a.pre[i], a.pre_linear[i]);
}

static void launch(const SiluMul& a, const CudaLaunch& on) {
  if (a.n) silu_mul_each<<<blocks_for(a.n), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_silu_mul;
const CudaKernel cuda_silu_mul = cuda_kernel<SiluMul, launch>("silu_mul", "cuda");

}  // namespace cutaway::cuda
