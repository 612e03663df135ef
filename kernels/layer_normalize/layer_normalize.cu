#include "layer_normalize.h"
#include "row.cuh"

namespace cutaway::cuda {

static __global__ void layer_normalize_rows(LayerNormalize a) {
  for (int64_t t = first_row(); t < a.T; t += row_step()) {
    const float* x = a.x + t * a.D;
    const float mean = row_mean(x, a.D);
    for (int64_t i = lane(); i < a.D; i += kLanes) a.y[t * a.D + i] = (x[i] - mean) / a.scale[t];
  }
}

static void launch(const LayerNormalize& a, const CudaLaunch& on) {
  if (a.T) layer_normalize_rows<<<blocks_for(a.T, kWarps), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_layer_normalize;
const CudaKernel cuda_layer_normalize = cuda_kernel<LayerNormalize, launch>("layer_normalize", "cuda");

}  // namespace cutaway::cuda
