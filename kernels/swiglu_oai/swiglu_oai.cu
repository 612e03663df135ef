#include "cuda.cuh"
#include "swiglu_oai.h"

namespace cutaway::cuda {

static __global__ void swiglu_oai_each(SwigluOai a) {
  for (int64_t i = first_item(); i < a.n; i += item_step())
    a.y[i] = swiglu_oai_of(a.pre[i], a.pre_linear[i], a.alpha, a.limit);
}

static void launch(const SwigluOai& a, const CudaLaunch& on) {
  if (a.n) swiglu_oai_each<<<blocks_for(a.n), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_swiglu_oai;
const CudaKernel cuda_swiglu_oai = cuda_kernel<SwigluOai, launch>("swiglu_oai", "cuda");

}  // namespace cutaway::cuda
