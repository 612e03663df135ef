#include "rms_scale.h"
#include "row.cuh"

namespace cutaway::cuda {

static __global__ void rms_scale_rows(RmsScale a) {
  for (int64_t t = first_row(); t < a.T; t += row_step()) {
    const float scale = row_scale(a.x + t * a.D, a.D, 0.0f, a.eps);
    if (lane() == 0) a.scale[t] = scale;
  }
}

static void launch(const RmsScale& a, const CudaLaunch& on) {
  if (a.T) rms_scale_rows<<<blocks_for(a.T, kWarps), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_rms_scale;
const CudaKernel cuda_rms_scale = cuda_kernel<RmsScale, launch>("rms_scale", "cuda");

}  // namespace cutaway::cuda
