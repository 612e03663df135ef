#include "layer_norm.h"
#include "row.cuh"

namespace cutaway::cuda {

static __global__ void layer_norm_rows(LayerNorm a) {
  for (int64_t t = first_row(); t < a.T; t += row_step()) {
    const float* x = a.x + t * a.D;
    const float mean = row_mean(x, a.D), scale = row_scale(x, a.D, mean, a.eps);
    for (int64_t i = lane(); i < a.D; i += kLanes) {
      const float product = (x[i] - mean) / scale * a.w[i];
      a.y[t * a.D + i] = a.bias ? product + a.bias[i] : product;
    }
  }
}

static void launch(const LayerNorm& a, const CudaLaunch& on) {
  if (a.T) layer_norm_rows<<<blocks_for(a.T, kWarps), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_layer_norm;
const CudaKernel cuda_layer_norm = cuda_kernel<LayerNorm, launch>("layer_norm", "cuda");

}  // namespace cutaway::cuda
