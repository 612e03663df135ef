#include "attention_scores.h"
#include "row_attention.cuh"

namespace cutaway::cuda {

// A thread block takes a query, its warps the positions in turn.
template <class Element>
static __global__ void attention_scores_rows(AttentionScores a, const Element* keys) {
  const int64_t S = a.keys.S, G = a.keys.G, E = a.keys.E;
  for (int64_t unit = blockIdx.x; unit < a.T * a.H; unit += gridDim.x) {
    const int64_t t = unit / a.H, g = unit % a.H / (a.H / G), p = S - a.T + t;
    const int64_t first = first_seen_by(p, a.window);
    for (int64_t s = threadIdx.x / kLanes; s < S; s += kWarps) {
      const bool seen = s >= first && s <= p;
      const float score = seen ? dot_key(a.q + unit * E, keys + (s * G + g) * E, E) * a.scale : -INFINITY;
      if (lane() == 0) a.scores[unit * S + s] = score;
    }
  }
}

static void launch(const AttentionScores& a, const CudaLaunch& on) {
  if (a.T * a.H == 0) return;
  with_elements(a.keys, [&](auto keys) {
    attention_scores_rows<<<blocks_for(a.T * a.H, 1), kThreads, 0, stream_of(on)>>>(a, keys);
  });
}

extern const CudaKernel cuda_attention_scores;
const CudaKernel cuda_attention_scores = cuda_kernel<AttentionScores, launch>("attention_scores", "cuda");

}  // namespace cutaway::cuda
