#include "cublas.cuh"
#include "gated_matmul.h"

namespace cutaway::cuda {

static __global__ void gate_each(const float* pre, const float* linear, float* y, int64_t n) {
  for (int64_t i = first_item(); i < n; i += item_step()) y[i] = silu_mul_of(pre[i], linear[i]);
}

static size_t scratch_cublas(const GatedMatmul& a) {
  return static_cast<size_t>(2 * a.gate.T * a.gate.N) * sizeof(float);
}

static void launch_cublas(const GatedMatmul& a, const CudaLaunch& on) {
  const Matmul& m = a.gate;
  if (m.T * m.N == 0) return;
  float *pre = static_cast<float*>(on.scratch), *linear = pre + m.T * m.N;
  cublas_product(m.x, reinterpret_cast<const float*>(a.gate.w), pre, m.T, m.N, m.K, on);
  cublas_product(m.x, reinterpret_cast<const float*>(a.up.w), linear, m.T, m.N, m.K, on);
  gate_each<<<blocks_for(m.T * m.N), kThreads, 0, stream_of(on)>>>(pre, linear, a.y, m.T * m.N);
}

extern const CudaKernel cuda_gated_matmul_cublas;
const CudaKernel cuda_gated_matmul_cublas =
    cuda_kernel<GatedMatmul, launch_cublas, scratch_cublas>("gated_matmul", "cublas");

}  // namespace cutaway::cuda
