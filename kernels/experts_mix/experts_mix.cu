#include "cuda.cuh"
#include "experts_mix.h"

namespace cutaway::cuda {

static __global__ void experts_mix_each(ExpertsMix a) {
  for (int64_t i = first_item(); i < a.T * a.D; i += item_step()) {
    const int64_t t = i / a.D, d = i % a.D;
    float sum = 0.0f;
    for (int64_t e = 0; e < a.A; ++e) sum = fmaf(a.w[t * a.A + e], a.x[(t * a.A + e) * a.D + d], sum);
    a.y[i] = sum;
  }
}

static void launch(const ExpertsMix& a, const CudaLaunch& on) {
  if (a.T * a.D > 0) experts_mix_each<<<blocks_for(a.T * a.D), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_experts_mix;
const CudaKernel cuda_experts_mix = cuda_kernel<ExpertsMix, launch>("experts_mix", "cuda");

}  // namespace cutaway::cuda
