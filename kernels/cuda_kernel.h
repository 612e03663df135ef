// CudaKernel: what libcutaway_cuda shows of a kernel to the core, which is compiled without CUDA. Each file
// kernels/<op>/<name>.cu defines one, cuda_<name>. The core checks a call and makes the op's argument struct, the same
// as for the CPU, whose pointers then point into a device's memory.
#pragma once

#include <cstddef>

namespace cutaway {

struct CudaLaunch {
  void* stream;   // cudaStream_t
  void* scratch;  // scratch_bytes() of device memory, undefined at the start
  void** cublas;  // the device's cuBLAS handle, null until the first kernel that needs it makes it (cublas.cuh)
};

struct CudaKernel {
  const char* op;
  const char* target;
  size_t args_bytes;                          // of the op's argument struct: the core refuses another size
  size_t (*scratch_bytes)(const void* args);  // null: none
  void (*launch)(const void* args, const CudaLaunch& on);
};

}  // namespace cutaway
