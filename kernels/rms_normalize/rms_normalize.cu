#include "cuda.cuh"
#include "rms_normalize.h"

namespace cutaway::cuda {

static __global__ void rms_normalize_rows(RmsNormalize a) {
  for (int64_t t = first_row(); t < a.T; t += row_step()) {
    for (int64_t i = lane(); i < a.D; i += kLanes) a.y[t * a.D + i] = a.x[t * a.D + i] / a.scale[t];
  }
}

static void launch(const RmsNormalize& a, const CudaLaunch& on) {
  if (a.T) rms_normalize_rows<<<blocks_for(a.T, kWarps), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_rms_normalize;
const CudaKernel cuda_rms_normalize = cuda_kernel<RmsNormalize, launch>("rms_normalize", "cuda");

}  // namespace cutaway::cuda
