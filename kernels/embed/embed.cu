#include "cuda.cuh"
#include "embed.h"

namespace cutaway::cuda {

static __global__ void embed_rows(Embed a) {
  for (int64_t t = first_row(); t < a.T; t += row_step()) {
    // A table on a device is plain float32 rows; its ids were checked on the host.
    const float* row = static_cast<const float*>(a.table) + a.ids[t] * a.D;
    for (int64_t i = lane(); i < a.D; i += kLanes) a.y[t * a.D + i] = row[i];
  }
}

static void launch(const Embed& a, const CudaLaunch& on) {
  if (a.T) embed_rows<<<blocks_for(a.T, kWarps), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_embed;
const CudaKernel cuda_embed = cuda_kernel<Embed, launch>("embed", "cuda");

}  // namespace cutaway::cuda
