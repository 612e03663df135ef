#include "cuda.cuh"
#include "scale.h"

namespace cutaway::cuda {

static __global__ void scale_each(Scale a) {
  for (int64_t i = first_item(); i < a.n; i += item_step()) a.y[i] = a.x[i] * a.factor;
}

static void launch(const Scale& a, const CudaLaunch& on) {
  if (a.n) scale_each<<<blocks_for(a.n), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_scale;
const CudaKernel cuda_scale = cuda_kernel<Scale, launch>("scale", "cuda");

}  // namespace cutaway::cuda
