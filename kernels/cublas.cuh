// cuBLAS, found when the first product asks for it: CUDA's own library when it is installed, or the nvidia-cublas
// package. Nothing is linked and no header of it is needed.
#pragma once

#include "cuda.cuh"

namespace cutaway::cuda {

// Where to look first; then the system's own search.
void look_for_cublas_in(const char* folder);

// y[t, n] = sum_k x[t, k] w[n, k], float32 all through: pedantic mode, no TF32. x [T, K], w [N, K], y [T, N].
// Raises DeviceError naming the places it looked in, or the status.
void cublas_product(const float* x, const float* w, float* y, int64_t T, int64_t N, int64_t K, const CudaLaunch& on);

void destroy_cublas(void* handle);

}  // namespace cutaway::cuda
