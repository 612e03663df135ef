#include "cuda.cuh"
#include "gain.h"

namespace cutaway::cuda {

static __global__ void gain_rows(Gain a) {
  for (int64_t t = first_row(); t < a.T; t += row_step()) {
    for (int64_t i = lane(); i < a.D; i += kLanes) {
      const float product = a.x[t * a.D + i] * a.w[i];
      a.y[t * a.D + i] = a.bias ? product + a.bias[i] : product;
    }
  }
}

static void launch(const Gain& a, const CudaLaunch& on) {
  if (a.T) gain_rows<<<blocks_for(a.T, kWarps), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_gain;
const CudaKernel cuda_gain = cuda_kernel<Gain, launch>("gain", "cuda");

}  // namespace cutaway::cuda
