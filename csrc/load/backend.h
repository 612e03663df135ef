// Backend: where a graph runs. Memory, weights in the layout its kernels read, and kernels by op. The executor walks
// the graph and knows no more of a device than this.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/tensor.h"
#include "formats/packed.h"
#include "op.h"

namespace cutaway {

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;  // "cpu", "cuda:0"

  // 64-byte aligned; raises OutOfMemoryError.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory, size_t bytes) = 0;
  virtual void upload(void* to, const void* from, size_t bytes) = 0;    // from the host
  virtual void download(void* to, const void* from, size_t bytes) = 0;  // to the host; waits for the kernels before it
  virtual void copy(void* to, const void* from, size_t bytes) = 0;      // on the backend

  // Converts `count` floats to float16 on the backend: the rows of a float16 cache.
  virtual void copy_as_f16(void* to, const float* from, int64_t count) = 0;

  // A weight [N, K], or experts' weights [X, N, K], laid out for the products and embed.
  virtual size_t weight_bytes(const Format& format, const Shape& shape) const = 0;
  virtual Tensor weight(const Format& format, const Shape& shape, const StoredRows& rows) = 0;

  // Whether matmul on this backend takes activations rounded to q8 blocks for weights of this format.
  virtual bool takes_q8(const Format& format) const = 0;

  struct Memory {
    const void* data = nullptr;
    size_t bytes = 0;
  };

  // A call whose tensors were checked, ready to run as often as they stay where they are.
  struct Ready {
    const Op* op = nullptr;
    const char* target = nullptr;  // of the kernel that will run, e.g. "avx512vnni"
    const void* kernel = nullptr;  // the backend's own
    std::string_view who;          // as Call::who; outlives this
    alignas(64) std::byte args[kMostArgs];
  };
  virtual void make_ready(const Op& op, const Call& call, Ready& out) const = 0;

  // Runs calls of which none reads what another writes. Results may still be on their way; download waits for them.
  // `next`: weights that the next calls will read, if known.
  virtual void run(std::span<const Ready* const> calls, Memory next) = 0;

  // Both at once; returns the target.
  const char* run(const Op& op, const Call& call) {
    Ready ready;
    make_ready(op, call, ready);
    const Ready* one = &ready;
    run({&one, 1}, {});
    return ready.target;
  }

  virtual const char* target_of(const Op& op) const = 0;  // of the kernel that run would choose

  // Seconds that its threads have spent in kernels, all added up, from the first call of this on; 0 on a device.
  virtual double seconds_in_kernels() { return 0; }
};

// The CPU, with a pool of `threads` threads and kernels at or below `target`.
std::shared_ptr<Backend> cpu_backend(const std::string& target, int threads);

// CUDA device number `device`, through the library beside the core; raises DeviceError with the reason. `target`:
// "cuda" or empty for cutaway's own kernels, "cublas" for cuBLAS where it has the op. `threads` unpack weights on
// loading.
std::shared_ptr<Backend> cuda_backend(int device, const std::string& target, int threads);

// "cpu", "cuda" (device 0) or "cuda:N".
std::shared_ptr<Backend> backend_for(const std::string& device, const std::string& target, int threads);

// For tests: the allocation after the next `after` on any CUDA device fails; negative: none does.
void fail_cuda_allocation(int64_t after);
// For tests: puts a CUDA device in the state that a kernel's illegal access leaves, until the process ends.
void fault_cuda_device(Backend& backend);

}  // namespace cutaway
