// A CUDA device for the core: memory, copies and launches on one stream, every call checked. With the kernels of
// kernels/*/*.cu this is libcutaway_cuda; its one exported function is at the end.
#include <unistd.h>

#include <cstring>
#include <mutex>

#include "cublas.cuh"
#include "cuda_table.h"  // generated from the names of kernels/*/*.cu: CUTAWAY_CUDA_KERNELS(X)
#include "load/cuda_library.h"

namespace cutaway::cuda {

#define X(name) extern const CudaKernel cuda_##name;
CUTAWAY_CUDA_KERNELS(X)
#undef X

namespace {

pid_t owner = 0;   // the process that made the first CUDA call
std::string lost;  // what broke the device, for this process, for good

// CUDA does not survive fork, and after an illegal access only a new process helps.
void check_process() {
  if (!owner) owner = getpid();
  if (owner != getpid())
    throw Error("ForkedProcessError", "process " + std::to_string(getpid()) + " was forked from " +
                                          std::to_string(owner) + " after that had used CUDA");
  if (!lost.empty()) throw Error("DeviceLostError", "the CUDA device was lost earlier: " + lost);
}

std::string describe(cudaError_t error) {
  return std::string(cudaGetErrorName(error)) + " (" + cudaGetErrorString(error) + ")";
}

// Raises where `error` is one. `doing`: what failed, e.g. "launch of gelu/cuda".
void check(cudaError_t error, const std::string& doing) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // clears it, where it can be cleared
  const std::string message = doing + " failed: " + describe(error);
  if (cudaDeviceSynchronize() != cudaSuccess) {
    lost = message;
    throw Error("DeviceLostError", message, "", {{"error", std::string(cudaGetErrorName(error))}});
  }
  throw Error("DeviceError", message, "", {{"error", std::string(cudaGetErrorName(error))}});
}

// Makes a device current, and the one before it when it goes: other libraries of the process have theirs.
struct Current {
  int before = -1;
  explicit Current(int device) {
    check_process();
    int now = -1;
    check(cudaGetDevice(&now), "cudaGetDevice");
    if (now == device) return;
    check(cudaSetDevice(device), "cudaSetDevice");
    before = now;
  }
  ~Current() {
    if (before >= 0) cudaSetDevice(before);
  }
};

__global__ void to_f16(__half* to, const float* from, int64_t n) {
  for (int64_t i = first_item(); i < n; i += item_step()) to[i] = __float2half_rn(from[i]);
}

__global__ void write_at(float* nowhere) { *nowhere = 1.0f; }

class Device : public CudaDevice {
 public:
  explicit Device(int device) : device_(device) {
    Current current(device_);
    // The first kernel's attributes show whether this build has code for the device at all.
    cudaFuncAttributes attributes;
    if (cudaFuncGetAttributes(&attributes, to_f16) == cudaErrorNoKernelImageForDevice) {
      cudaGetLastError();
      cudaDeviceProp properties;
      check(cudaGetDeviceProperties(&properties, device_), "cudaGetDeviceProperties");
      throw Error("DeviceError",
                  std::string(properties.name) + " has compute capability " + std::to_string(properties.major) + "." +
                      std::to_string(properties.minor) + ", for which this build has no code",
                  "build cutaway with -DCMAKE_CUDA_ARCHITECTURES=" + std::to_string(properties.major) +
                      std::to_string(properties.minor));
    }
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  }

  ~Device() override {
    // In a forked child the handles are the parent's; after a loss nothing can be given back.
    if (owner != getpid() || !lost.empty()) return;
    int before = -1;
    if (cudaGetDevice(&before) != cudaSuccess || cudaSetDevice(device_) != cudaSuccess) return;
    if (cublas_) destroy_cublas(cublas_);
    cudaFree(scratch_);
    cudaStreamDestroy(stream_);
    cudaSetDevice(before);
  }

  void* allocate(size_t bytes) override {
    Current current(device_);
    void* memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, bytes ? bytes : 1);
    if (error != cudaErrorMemoryAllocation) {
      check(error, "cudaMalloc of " + std::to_string(bytes) + " bytes");
      return memory;
    }
    cudaGetLastError();
    size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    throw Error("OutOfMemoryError",
                "cuda:" + std::to_string(device_) + " refused " + std::to_string(bytes) + " bytes; " +
                    std::to_string(free) + " of its " + std::to_string(total) + " are free",
                "", {{"bytes", uint64_t{bytes}}, {"free", uint64_t{free}}, {"total", uint64_t{total}}});
  }

  void release(void* memory) noexcept override {
    if (owner != getpid() || !lost.empty()) return;
    int before = -1;
    if (cudaGetDevice(&before) != cudaSuccess || cudaSetDevice(device_) != cudaSuccess) return;
    cudaFree(memory);  // waits for the kernels that use it
    cudaSetDevice(before);
  }

  void upload(void* to, const void* from, size_t bytes) override {
    move(to, from, bytes, cudaMemcpyHostToDevice, true);
  }
  void download(void* to, const void* from, size_t bytes) override {
    move(to, from, bytes, cudaMemcpyDeviceToHost, true);
  }
  void copy(void* to, const void* from, size_t bytes) override {
    move(to, from, bytes, cudaMemcpyDeviceToDevice, false);
  }

  void copy_as_f16(void* to, const float* from, int64_t count) override {
    Current current(device_);
    if (!count) return;
    to_f16<<<blocks_for(count), kThreads, 0, stream_>>>(static_cast<__half*>(to), from, count);
    after_launch("copy_as_f16");
  }

  void launch(const CudaKernel& kernel, const void* args, std::string_view who) override {
    Current current(device_);
    const size_t bytes = kernel.scratch_bytes ? kernel.scratch_bytes(args) : 0;
    if (bytes > scratch_bytes_) {
      void* larger = allocate(bytes);
      cudaFree(scratch_);
      scratch_ = larger;
      scratch_bytes_ = bytes;
    }
    kernel.launch(args, {stream_, scratch_, &cublas_});
    after_launch(std::string(kernel.op) + "/" + kernel.target + (who == kernel.op ? "" : " for " + std::string(who)));
  }

  void fault() override {
    Current current(device_);
    write_at<<<1, 1, 0, stream_>>>(reinterpret_cast<float*>(uintptr_t{64}));
    after_launch("fault");
  }

 private:
  void after_launch(std::string kernel) {
    check(cudaGetLastError(), "launch of " + kernel);
    last_ = std::move(kernel);
  }

  void move(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, bool wait) {
    Current current(device_);
    if (!bytes) return;
    cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, stream_);
    if (error == cudaSuccess && wait) error = cudaStreamSynchronize(stream_);
    if (error == cudaSuccess) return;
    // A kernel's own failure shows itself at the next thing that waits.
    check(error,
          "copying " + std::to_string(bytes) + " bytes" +
              (last_.empty() ? "" : " after kernel " + last_ + " (one of the kernels before it may be the cause)"));
  }

  int device_;
  cudaStream_t stream_ = nullptr;
  void* scratch_ = nullptr;
  size_t scratch_bytes_ = 0;
  void* cublas_ = nullptr;
  std::string last_;  // kernel that was launched last
};

std::vector<CudaDeviceInfo> devices() {
  check_process();
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver) {
    cudaGetLastError();
    int driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    const auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
    throw Error(
        "DeviceError",
        "the NVIDIA driver is too old: it runs CUDA " + version(driver) + ", and this build needs " + version(runtime),
        "update the driver, or use device=\"cpu\"");
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && !count)) {
    cudaGetLastError();
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    throw Error("DeviceError", std::string("the NVIDIA driver finds no device") +
                                   (visible ? ", and CUDA_VISIBLE_DEVICES is \"" + printable(visible) + "\"" : ""));
  }
  check(error, "cudaGetDeviceCount");
  std::vector<CudaDeviceInfo> out;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, i), "cudaGetDeviceProperties");
    out.push_back({properties.name, properties.major, properties.minor, properties.totalGlobalMem});
  }
  return out;
}

std::span<const CudaKernel* const> kernels() {
#define X(name) &cuda_##name,
  static const CudaKernel* const all[] = {CUTAWAY_CUDA_KERNELS(X)};
#undef X
  return all;
}

std::unique_ptr<CudaDevice> open(int device) { return std::make_unique<Device>(device); }

}  // namespace
}  // namespace cutaway::cuda

extern "C" __attribute__((visibility("default"))) const cutaway::CudaLibrary* cutaway_cuda_library() {
  using namespace cutaway;
  static const CudaLibrary library{CUTAWAY_CUDA_ABI, cuda::kernels, cuda::devices, cuda::open,
                                   cuda::look_for_cublas_in};
  return &library;
}
