#include "cuda.cuh"
#include "top_k.h"

namespace cutaway::cuda {

// One thread a token: X and k are small.
static __global__ void top_k_rows(TopK a) {
  for (int64_t t = first_item(); t < a.T; t += item_step()) {
    const float* x = a.x + t * a.X;
    int32_t* chosen = a.indices + t * a.k;
    for (int64_t i = 0; i < a.k; ++i) {
      int32_t best = -1;
      for (int32_t c = 0; c < a.X; ++c) {
        bool taken = false;
        for (int64_t j = 0; j < i; ++j) taken = taken || chosen[j] == c;
        if (taken) continue;
        const bool nan_so_far = best >= 0 && isnan(x[best]);
        if (best < 0 || x[c] > x[best] || (nan_so_far && !isnan(x[c]))) best = c;
      }
      chosen[i] = best;
    }
  }
}

static void launch(const TopK& a, const CudaLaunch& on) {
  if (a.T) top_k_rows<<<blocks_for(a.T), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_top_k;
const CudaKernel cuda_top_k = cuda_kernel<TopK, launch>("top_k", "cuda");

}  // namespace cutaway::cuda
