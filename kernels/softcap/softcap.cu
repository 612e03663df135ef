#include "cuda.cuh"
#include "softcap.h"

namespace cutaway::cuda {

static __global__ void softcap_each(Softcap a) {
  for (int64_t i = first_item(); i < a.n; i += item_step()) a.y[i] = softcap_of(a.x[i], a.cap);
}

static void launch(const Softcap& a, const CudaLaunch& on) {
  if (a.n) softcap_each<<<blocks_for(a.n), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_softcap;
const CudaKernel cuda_softcap = cuda_kernel<Softcap, launch>("softcap", "cuda");

}  // namespace cutaway::cuda
