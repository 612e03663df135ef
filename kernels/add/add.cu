#include "add.h"
#include "cuda.cuh"

namespace cutaway::cuda {

static __global__ void add_each(Add a) {
  for (int64_t i = first_item(); i < a.n; i += item_step()) a.z[i] = a.x[i] + a.y[i];
}

static void launch(const Add& a, const CudaLaunch& on) {
  if (a.n) add_each<<<blocks_for(a.n), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_add;
const CudaKernel cuda_add = cuda_kernel<Add, launch>("add", "cuda");

}  // namespace cutaway::cuda
