#include "cublas.cuh"
#include "matmul.h"

namespace cutaway::cuda {

static __global__ void add_bias(Matmul a) {
  for (int64_t i = first_item(); i < a.T * a.N; i += item_step()) a.y[i] = a.y[i] + a.bias[i % a.N];
}

// cuBLAS chooses its order by the shape: a token's bits may depend on how many come with it.
static void launch_cublas(const Matmul& a, const CudaLaunch& on) {
  if (a.T * a.N == 0) return;
  cublas_product(a.x, reinterpret_cast<const float*>(a.w), a.y, a.T, a.N, a.K, on);
  if (a.bias) add_bias<<<blocks_for(a.T * a.N), kThreads, 0, stream_of(on)>>>(a);
}

extern const CudaKernel cuda_matmul_cublas;
const CudaKernel cuda_matmul_cublas = cuda_kernel<Matmul, launch_cublas>("matmul", "cublas");

}  // namespace cutaway::cuda
