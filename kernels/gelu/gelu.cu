#include "cuda.cuh"
#include "gelu.h"

namespace cutaway::cuda {

static __global__ void gelu_each(Gelu a) {
  for (int64_t i = first_item(); i < a.n; i += item_step()) a.y[i] = gelu_of(a.x[i]);
}

static void launch(const Gelu& a, const CudaLaunch& on) {
  if (a.n) gelu_each<<<blocks_for(a.n), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_gelu;
const CudaKernel cuda_gelu = cuda_kernel<Gelu, launch>("gelu", "cuda");

}  // namespace cutaway::cuda
