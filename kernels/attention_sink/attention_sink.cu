#include "attention_sink.h"
#include "row_attention.cuh"

namespace cutaway::cuda {

static __global__ void attention_sink_rows(AttentionSink a) {
  for (int64_t r = first_row(); r < a.T * a.H; r += row_step()) {
    const SoftmaxRow row = softmax_row(a.scores + r * a.S, 0, a.S, a.sinks[r % a.H]);
    if (lane() == 0) a.y[r] = row.sink;
  }
}

static void launch(const AttentionSink& a, const CudaLaunch& on) {
  if (a.T * a.H > 0) attention_sink_rows<<<blocks_for(a.T * a.H, kWarps), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_attention_sink;
const CudaKernel cuda_attention_sink = cuda_kernel<AttentionSink, launch>("attention_sink", "cuda");

}  // namespace cutaway::cuda
