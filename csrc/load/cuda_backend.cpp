// One CUDA device as a Backend. Products run on weights unpacked to float32, so there are no rounded activations, and
// numerics "fast" means what "exact" means.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>

#include "base/error.h"
#include "base/machine.h"
#include "formats/f32/f32.h"
#include "formats/format.h"
#include "load/backend.h"
#include "load/cuda_library.h"

namespace cutaway {
namespace {

constexpr size_t kUploadBytes = size_t{32} << 20;  // of unpacked rows that go to the device together

std::atomic<int64_t> allocations_left{-1};  // until one fails on purpose; negative: none does

class CudaBackend : public Backend {
 public:
  CudaBackend(int device, const std::string& target, int threads)
      : number_(device),
        targets_(target == "cublas" ? std::vector<std::string>{"cublas", "cuda"} : std::vector<std::string>{"cuda"}),
        pool_(threads),
        device_(cuda_library().open(device)) {}

  std::string name() const override { return "cuda:" + std::to_string(number_); }

  void* allocate(size_t bytes) override {
    std::lock_guard lock(mutex_);
    // A planned failure asks for more than any device has, so that it is the device that says no.
    if (allocations_left >= 0 && allocations_left-- == 0) bytes = size_t{1} << 50;
    return device_->allocate(bytes);
  }
  void release(void* memory, size_t) override {
    std::lock_guard lock(mutex_);
    device_->release(memory);
  }
  void upload(void* to, const void* from, size_t bytes) override {
    std::lock_guard lock(mutex_);
    device_->upload(to, from, bytes);
  }
  void download(void* to, const void* from, size_t bytes) override {
    std::lock_guard lock(mutex_);
    device_->download(to, from, bytes);
  }
  void copy(void* to, const void* from, size_t bytes) override {
    std::lock_guard lock(mutex_);
    device_->copy(to, from, bytes);
  }
  void copy_as_f16(void* to, const float* from, int64_t count) override {
    std::lock_guard lock(mutex_);
    device_->copy_as_f16(to, from, count);
  }

  size_t weight_bytes(const Format&, const Shape& shape) const override {
    return static_cast<size_t>(shape.elements()) * sizeof(float);
  }

  Tensor weight(const Format& format, const Shape& shape, const StoredRows& stored) override {
    const int64_t N = shape.rows(), K = shape.last();
    const size_t row_floats = static_cast<size_t>(K), bytes = weight_bytes(format, shape);
    void* memory;
    try {
      memory = allocate(bytes);
    } catch (Error& error) {
      if (error.kind == "OutOfMemoryError") error.kind = "AllocationFailed";
      throw;
    }
    try {
      const int64_t chunk = std::max<int64_t>(1, static_cast<int64_t>(kUploadBytes / (row_floats * sizeof(float))));
      std::vector<float> rows(static_cast<size_t>(std::min(N, chunk)) * row_floats);
      for (int64_t first = 0; first < N; first += chunk) {
        const int64_t count = std::min(chunk, N - first);
        unpack(format, first, count, K, stored, rows.data());
        upload(static_cast<float*>(memory) + first * K, rows.data(),
               static_cast<size_t>(count) * row_floats * sizeof(float));
      }
    } catch (...) {
      release(memory, bytes);
      throw;
    }
    return {.data = memory, .format = &format_f32, .shape = shape, .layout = Layout::packed};
  }

  bool takes_q8(const Format&) const override { return false; }

  using Backend::run;
  void make_ready(const Op& op, const Call& call, Ready& out) const override {
    for (const Tensor& read : call.reads)
      if (read.layout == Layout::q8)
        throw Error("UnsupportedOperation",
                    std::string(call.who) + ": CUDA kernels take float activations, not rounded ones");
    const CudaKernel& kernel = pick(op);
    out.target = kernel.target;
    out.kernel = &kernel;
    out.who = call.who;
    Call there = call;
    there.host = false;
    op.bind(there, out.args);
    out.op = &op;  // last: now it is ready
  }

  void run(std::span<const Ready* const> calls, Memory) override {
    std::lock_guard lock(mutex_);
    for (const Ready* call : calls)
      device_->launch(*static_cast<const CudaKernel*>(call->kernel), call->args, call->who);
  }

  const char* target_of(const Op& op) const override { return pick(op).target; }

  void fault() {
    std::lock_guard lock(mutex_);
    device_->fault();
  }

 private:
  void unpack(const Format& format, int64_t first, int64_t count, int64_t K, const StoredRows& rows, float* out) {
    std::lock_guard lock(pool_mutex_);
    pool_.parallel_for(count, [&](int64_t begin, int64_t end, int) {
      const int64_t bytes = row_bytes(format, K);
      std::vector<std::byte> buffer(static_cast<size_t>((end - begin) * bytes));
      const auto* stored = static_cast<const std::byte*>(rows(first + begin, end - begin, buffer.data()));
      for (int64_t n = begin; n < end; ++n, stored += bytes) format.unpack_row(stored, out + n * K, K);
    });
  }

  const CudaKernel& pick(const Op& op) const {
    for (const std::string& target : targets_)
      for (const CudaKernel* kernel : cuda_library().kernels())
        if (kernel->target == target && std::strcmp(kernel->op, op.name) == 0) return *kernel;
    throw Error("UnsupportedOperation", std::string(op.name) + " has no CUDA kernel");
  }

  int number_;
  std::vector<std::string> targets_;
  Pool pool_;
  std::unique_ptr<CudaDevice> device_;
  std::mutex mutex_, pool_mutex_;
};

}  // namespace

std::shared_ptr<Backend> cuda_backend(int device, const std::string& target, int threads) {
  if (threads < 0 || threads > 1024)
    throw Error("ArgumentError", "threads is " + std::to_string(threads) + ", expected 1 to 1024, or 0 for all cores");
  if (!target.empty() && target != "cuda" && target != "cublas")
    throw Error("ArgumentError",
                "target is " + printable(target) + ", expected \"cuda\" or \"cublas\" on a CUDA device");
  const auto devices = cuda_library().devices();
  const auto count = static_cast<int>(devices.size());
  if (device < 0 || device >= count)
    throw Error("DeviceError",
                "device cuda:" + std::to_string(device) + " does not exist; there " +
                    (count == 1 ? "is only cuda:0" : "are cuda:0 to cuda:" + std::to_string(count - 1)),
                "cutaway.devices() lists them", {{"device", int64_t{device}}, {"count", int64_t{count}}});
  return std::make_shared<CudaBackend>(device, target, threads ? threads : machine().cores);
}

std::shared_ptr<Backend> backend_for(const std::string& device, const std::string& target, int threads) {
  if (device == "cpu") return cpu_backend(target, threads);
  if (device.rfind("cuda", 0) == 0) {
    const std::string rest = device.substr(4);
    if (rest.empty()) return cuda_backend(0, target, threads);
    if (rest.size() > 1 && rest.size() < 6 && rest[0] == ':' &&
        rest.find_first_not_of("0123456789", 1) == std::string::npos)
      return cuda_backend(std::stoi(rest.substr(1)), target, threads);
  }
  throw Error("ArgumentError", "device is " + printable(device) + ", expected \"cpu\", \"cuda\" or \"cuda:N\"");
}

void fail_cuda_allocation(int64_t after) { allocations_left = after; }

void fault_cuda_device(Backend& backend) {
  auto* cuda = dynamic_cast<CudaBackend*>(&backend);
  if (!cuda) throw Error("ArgumentError", backend.name() + " is not a CUDA device");
  cuda->fault();
}

}  // namespace cutaway
