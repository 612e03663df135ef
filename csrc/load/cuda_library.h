// libcutaway_cuda as the core sees it: a library beside the compiled module, opened when a CUDA device is asked for.
// The core has no CUDA dependency; where the library, the driver or the device is missing it says which.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cuda_kernel.h"

namespace cutaway {

// Raised when the two come from different builds. Raise the number whenever something below or in cuda_kernel.h
// changes.
#define CUTAWAY_CUDA_ABI "cutaway " CUTAWAY_VERSION " cuda 1"

struct CudaDeviceInfo {
  std::string name;  // "NVIDIA H100 80GB HBM3"
  int major, minor;  // compute capability
  size_t bytes;      // of memory
};

// One device, with a stream of its own, on which everything happens in order. Every call makes the device current and
// puts back the one that was. All raise DeviceError, OutOfMemoryError, DeviceLostError or ForkedProcessError; not safe
// to call from two threads at once.
class CudaDevice {
 public:
  virtual ~CudaDevice() = default;
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  virtual void upload(void* to, const void* from, size_t bytes) = 0;
  virtual void download(void* to, const void* from, size_t bytes) = 0;
  virtual void copy(void* to, const void* from, size_t bytes) = 0;
  virtual void copy_as_f16(void* to, const float* from, int64_t count) = 0;
  // `who`: the stage, for errors that show themselves later.
  virtual void launch(const CudaKernel& kernel, const void* args, std::string_view who) = 0;
  // Writes where nothing is, as a faulty kernel would: for tests of what comes after.
  virtual void fault() = 0;
};

struct CudaLibrary {
  const char* abi;
  std::span<const CudaKernel* const> (*kernels)();
  std::vector<CudaDeviceInfo> (*devices)();  // raises DeviceError where there is none
  std::unique_ptr<CudaDevice> (*open)(int device);
  void (*look_for_cublas_in)(const char* folder);
};
using CudaLibraryEntry = const CudaLibrary* (*)();  // of "cutaway_cuda_library"

// The library, opened once; raises DeviceError with the reason.
const CudaLibrary& cuda_library();

// What there is, and where nothing is, why.
struct CudaDevices {
  std::vector<CudaDeviceInfo> devices;
  std::string reason;
};
CudaDevices cuda_devices();

}  // namespace cutaway
