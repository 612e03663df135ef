#include "copy.h"
#include "cuda.cuh"

namespace cutaway::cuda {

static __global__ void copy_each(Copy a) {
  for (int64_t i = first_item(); i < a.n; i += item_step()) a.y[i] = a.x[i];
}

static void launch(const Copy& a, const CudaLaunch& on) {
  if (a.n) copy_each<<<blocks_for(a.n), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_copy;
const CudaKernel cuda_copy = cuda_kernel<Copy, launch>("copy", "cuda");

}  // namespace cutaway::cuda
