#include "attention_mix.h"
#include "row_attention.cuh"

namespace cutaway::cuda {

template <class Element>
static __global__ void attention_mix_each(AttentionMix a, const Element* values) {
  const int64_t S = a.values.S, G = a.values.G, E = a.values.E;
  for (int64_t i = first_item(); i < a.T * a.H * E; i += item_step()) {
    const int64_t unit = i / E, g = unit % a.H / (a.H / G);
    a.z[i] = mix_element(a.pattern + unit * S, values + g * E + i % E, G * E, 0, S);
  }
}

static void launch(const AttentionMix& a, const CudaLaunch& on) {
  const int64_t count = a.T * a.H * a.values.E;
  if (count == 0) return;
  with_elements(a.values,
                [&](auto values) { attention_mix_each<<<blocks_for(count), kThreads, 0, stream_of(on)>>>(a, values); });
}

extern const CudaKernel cuda_attention_mix;
const CudaKernel cuda_attention_mix = cuda_kernel<AttentionMix, launch>("attention_mix", "cuda");

}  // namespace cutaway::cuda
