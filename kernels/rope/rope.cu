#include "cuda.cuh"
#include "rope.h"

namespace cutaway::cuda {

// One thread a pair, and one a channel beyond them. y may be x: a thread reads what it writes before it writes it.
static __global__ void rope_pairs(Rope a) {
  const int64_t width = a.E - a.half;
  for (int64_t i = first_item(); i < a.T * a.H * width; i += item_step()) {
    const int64_t row = i / width, j = i % width, t = row / a.H;
    const float* x = a.x + row * a.E;
    float* y = a.y + row * a.E;
    if (j >= a.half) {
      y[j + a.half] = x[j + a.half];
      continue;
    }
    double sine, cosine;
    sincos(a.positions[t] * a.frequencies[j], &sine, &cosine);
    const float c = static_cast<float>(a.attention_factor * cosine), s = static_cast<float>(a.attention_factor * sine);
    const float p = x[j], q = x[j + a.half];
    y[j] = p * c - q * s;
    y[j + a.half] = p * s + q * c;
  }
}

static void launch(const Rope& a, const CudaLaunch& on) {
  const int64_t count = a.T * a.H * (a.E - a.half);
  if (count) rope_pairs<<<blocks_for(count), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_rope;
const CudaKernel cuda_rope = cuda_kernel<Rope, launch>("rope", "cuda");

}  // namespace cutaway::cuda
