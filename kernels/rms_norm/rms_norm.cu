#include "rms_norm.h"
#include "row.cuh"

namespace cutaway::cuda {

static __global__ void rms_norm_rows(RmsNorm a) {
  for (int64_t t = first_row(); t < a.T; t += row_step()) {
    const float* x = a.x + t * a.D;
    const float scale = row_scale(x, a.D, 0.0f, a.eps);
    for (int64_t i = lane(); i < a.D; i += kLanes) a.y[t * a.D + i] = x[i] / scale * a.w[i];
  }
}

static void launch(const RmsNorm& a, const CudaLaunch& on) {
  if (a.T) rms_norm_rows<<<blocks_for(a.T, kWarps), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_rms_norm;
const CudaKernel cuda_rms_norm = cuda_kernel<RmsNorm, launch>("rms_norm", "cuda");

}  // namespace cutaway::cuda
