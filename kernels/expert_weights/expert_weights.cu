#include "cuda.cuh"
#include "expert_weights.h"

namespace cutaway::cuda {

// One thread a token: there are few experts. An index that is none, which only a hook can have left, gives NaN.
static __global__ void expert_weights_rows(ExpertWeights a) {
  for (int64_t t = first_item(); t < a.T; t += item_step()) {
    const auto logit = [&](int64_t i) {
      const int32_t expert = a.indices[t * a.A + i];
      return expert >= 0 && expert < a.X ? a.x[t * a.X + expert] : NAN;
    };
    float most = -INFINITY, total = 0.0f;
    for (int64_t i = 0; i < a.A; ++i) most = fmaxf(most, logit(i));
    for (int64_t i = 0; i < a.A; ++i) total = total + expf(logit(i) - most);
    for (int64_t i = 0; i < a.A; ++i) a.w[t * a.A + i] = expf(logit(i) - most) / total;
  }
}

static void launch(const ExpertWeights& a, const CudaLaunch& on) {
  if (a.T) expert_weights_rows<<<blocks_for(a.T), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_expert_weights;
const CudaKernel cuda_expert_weights = cuda_kernel<ExpertWeights, launch>("expert_weights", "cuda");

}  // namespace cutaway::cuda
