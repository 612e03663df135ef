#include "row_attention.cuh"
#include "softmax.h"

namespace cutaway::cuda {

static __global__ void softmax_rows(Softmax a) {
  for (int64_t r = first_row(); r < a.R; r += row_step()) {
    const float* x = a.x + r * a.S;
    const SoftmaxRow row = softmax_row(x, 0, a.S, a.sinks ? a.sinks[r % a.H] : -INFINITY);
    for (int64_t s = lane(); s < a.S; s += kLanes) a.y[r * a.S + s] = expf(x[s] - row.most) / row.total;
  }
}

static void launch(const Softmax& a, const CudaLaunch& on) {
  if (a.R) softmax_rows<<<blocks_for(a.R, kWarps), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_softmax;
const CudaKernel cuda_softmax = cuda_kernel<Softmax, launch>("softmax", "cuda");

}  // namespace cutaway::cuda
