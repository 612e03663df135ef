#include "layer_scale.h"
#include "row.cuh"

namespace cutaway::cuda {

static __global__ void layer_scale_rows(LayerScale a) {
  for (int64_t t = first_row(); t < a.T; t += row_step()) {
    const float* x = a.x + t * a.D;
    const float scale = row_scale(x, a.D, row_mean(x, a.D), a.eps);
    if (lane() == 0) a.scale[t] = scale;
  }
}

static void launch(const LayerScale& a, const CudaLaunch& on) {
  if (a.T) layer_scale_rows<<<blocks_for(a.T, kWarps), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_layer_scale;
const CudaKernel cuda_layer_scale = cuda_kernel<LayerScale, launch>("layer_scale", "cuda");

}  // namespace cutaway::cuda
