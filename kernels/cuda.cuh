// What the CUDA kernels share: how to launch, how to add up a warp. Included by .cu files only.
//
// Every sum has one order, fixed by the shape alone: a lane adds every 32nd term, then the lanes are added as a tree.
// There are no float atomics, so the same call gives the same bits.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include "base/error.h"
#include "cuda_kernel.h"

namespace cutaway::cuda {

constexpr int kThreads = 256, kLanes = 32, kWarps = kThreads / kLanes;
constexpr int64_t kMostBlocks = 1 << 20;  // of a launch; kernels go round as often as they must

// Thread blocks for `count` items, `each` of them in one block.
inline unsigned blocks_for(int64_t count, int64_t each = kThreads) {
  const int64_t blocks = (count + each - 1) / each;
  return static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
}

inline cudaStream_t stream_of(const CudaLaunch& on) { return static_cast<cudaStream_t>(on.stream); }

// Makes the row of an op's launch function and, where it needs one, its scratch function.
template <class Args, void (*Launch)(const Args&, const CudaLaunch&), size_t (*Scratch)(const Args&) = nullptr>
constexpr CudaKernel cuda_kernel(const char* op, const char* target) {
  CudaKernel kernel{op, target, sizeof(Args), nullptr, nullptr};
  if constexpr (Scratch != nullptr)
    kernel.scratch_bytes = [](const void* args) { return Scratch(*static_cast<const Args*>(args)); };
  kernel.launch = [](const void* args, const CudaLaunch& on) { Launch(*static_cast<const Args*>(args), on); };
  return kernel;
}

// --- inside a kernel

__device__ inline int64_t first_item() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline int64_t item_step() { return int64_t{gridDim.x} * blockDim.x; }

// For kernels whose warps each take a row.
__device__ inline int lane() { return threadIdx.x % kLanes; }
__device__ inline int64_t first_row() { return int64_t{blockIdx.x} * kWarps + threadIdx.x / kLanes; }
__device__ inline int64_t row_step() { return int64_t{gridDim.x} * kWarps; }

// The sum of the lanes' x, on every lane the same bits.
__device__ inline float warp_sum(float x) {
  for (int apart = kLanes / 2; apart; apart /= 2) x = x + __shfl_xor_sync(~0u, x, apart);
  return x;
}

__device__ inline float warp_max(float x) {
  for (int apart = kLanes / 2; apart; apart /= 2) x = fmaxf(x, __shfl_xor_sync(~0u, x, apart));
  return x;
}

__device__ inline float silu_mul_of(float pre, float linear) { return pre / (1.0f + expf(-pre)) * linear; }

__device__ inline float gelu_of(float x) {
  // -2 u = x (-2 sqrt(2/pi) - 2 sqrt(2/pi) 0.044715 x^2)
  return x / (1.0f + expf(x * fmaf(x * x, -0.0713548162726f, -1.59576912160573f)));
}

__device__ inline float softcap_of(float x, float cap) { return cap * tanhf(x / cap); }

__device__ inline float swiglu_oai_of(float pre, float linear, float alpha, float limit) {
  // fminf and fmaxf would lose a NaN.
  const float g = isnan(pre) ? pre : fminf(pre, limit);
  const float u = isnan(linear) ? linear : fmaxf(fminf(linear, limit), -limit);
  return g / (1.0f + expf(-alpha * g)) * (u + 1.0f);
}

}  // namespace cutaway::cuda
