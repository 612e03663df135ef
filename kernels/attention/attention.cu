#include "attention.h"
#include "row_attention.cuh"

namespace cutaway::cuda {

// So many queries are under way at a time, each with a row of the pattern in scratch.
constexpr int64_t kAttentionBlocks = 1024;

template <class Element>
static __global__ void attention_rows(Attention a, const Element* keys, const Element* values, float* scratch) {
  const int64_t S = a.keys.S, G = a.keys.G, E = a.keys.E;
  float* row = scratch + blockIdx.x * S;
  for (int64_t unit = blockIdx.x; unit < a.T * a.H; unit += gridDim.x) {
    const int64_t t = unit / a.H, g = unit % a.H / (a.H / G), p = S - a.T + t;
    const int64_t first = first_seen_by(p, a.window), begin = first / kLanes * kLanes;
    for (int64_t s = begin + threadIdx.x / kLanes; s <= p; s += kWarps) {
      const float score = s >= first ? dot_key(a.q + unit * E, keys + (s * G + g) * E, E) * a.scale : -INFINITY;
      if (lane() == 0) row[s] = score;
    }
    __syncthreads();
    const SoftmaxRow softmax =
        softmax_row(row, begin, p + 1, a.sinks ? a.sinks[unit % a.H] : -INFINITY);  // every warp for itself
    __syncthreads();
    for (int64_t s = begin + threadIdx.x; s <= p; s += kThreads) row[s] = expf(row[s] - softmax.most) / softmax.total;
    __syncthreads();
    for (int64_t e = threadIdx.x; e < E; e += kThreads)
      a.z[unit * E + e] = mix_element(row, values + g * E + e, G * E, first, p + 1);
    __syncthreads();
  }
}

static int64_t attention_blocks(const Attention& a) {
  return a.T * a.H < kAttentionBlocks ? a.T * a.H : kAttentionBlocks;
}

static size_t scratch(const Attention& a) {
  return static_cast<size_t>(attention_blocks(a) * a.keys.S) * sizeof(float);
}

static void launch(const Attention& a, const CudaLaunch& on) {
  if (a.T * a.H == 0) return;
  with_elements(a.keys, [&](auto keys) {
    attention_rows<<<static_cast<unsigned>(attention_blocks(a)), kThreads, 0, stream_of(on)>>>(
        a, keys, static_cast<decltype(keys)>(a.values.data), static_cast<float*>(on.scratch));
  });
}

extern const CudaKernel cuda_attention;
const CudaKernel cuda_attention = cuda_kernel<Attention, launch, scratch>("attention", "cuda");

}  // namespace cutaway::cuda
