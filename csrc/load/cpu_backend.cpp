#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/error.h"
#include "base/machine.h"
#include "base/memory.h"
#include "cached.h"
#include "formats/packed.h"
#include "load/backend.h"

namespace cutaway {
namespace {

class CpuBackend : public Backend {
 public:
  CpuBackend(const std::string& target, int threads) : target_(target), to_f16_(to_f16_at(target)), pool_(threads) {}

  std::string name() const override { return "cpu"; }

  void* allocate(size_t bytes) override { return allocate_pages(bytes); }
  void release(void* memory, size_t bytes) override { free_pages(memory, bytes); }
  void upload(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, size_t bytes) override {
    constexpr size_t kPiece = size_t{64} << 10;
    if (bytes < 4 * kPiece) return static_cast<void>(std::memcpy(to, from, bytes));
    std::lock_guard lock(mutex_);
    pool_.parallel_for(static_cast<int64_t>((bytes + kPiece - 1) / kPiece), [&](int64_t begin, int64_t end, int) {
      const size_t first = static_cast<size_t>(begin) * kPiece,
                   last = std::min(bytes, static_cast<size_t>(end) * kPiece);
      std::memcpy(static_cast<std::byte*>(to) + first, static_cast<const std::byte*>(from) + first, last - first);
    });
  }
  void copy(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }

  void copy_as_f16(void* to, const float* from, int64_t count) override {
    constexpr int64_t kPiece = 4096;
    auto* rows = static_cast<uint16_t*>(to);
    if (count < 4 * kPiece) return to_f16_(from, rows, count);
    std::lock_guard lock(mutex_);
    pool_.parallel_for((count + kPiece - 1) / kPiece, [&](int64_t begin, int64_t end, int) {
      const int64_t first = begin * kPiece, last = std::min(count, end * kPiece);
      to_f16_(from + first, rows + first, last - first);
    });
  }

  size_t weight_bytes(const Format& format, const Shape& shape) const override { return packed_bytes(format, shape); }

  Tensor weight(const Format& format, const Shape& shape, const StoredRows& rows) override {
    const Format& tried = shortest(format, shape.last());
    Tensor out = packed(tried, shape, rows);
    return out.data ? out : packed(format, shape, rows);
  }

  bool takes_q8(const Format& format) const override { return has_codes(format); }

  using Backend::run;
  void make_ready(const Op& op, const Call& call, Ready& out) const override {
    const size_t kernel = op.pick(target_);
    out.target = op.targets[kernel];
    out.kernel = reinterpret_cast<const void*>(kernel);  // its index
    out.who = call.who;
    op.bind(call, out.args);
    out.op = &op;  // last: now it is ready
  }

  void run(std::span<const Ready* const> calls, Memory next) override {
    std::lock_guard lock(mutex_);  // sessions of other threads take turns, stage by stage
    pool_.expect(next.data, next.bytes);
    int64_t units = 0, grain = 1;
    size_t scratch = 0;
    for (const Ready* call : calls) {
      units += call->op->units(call->args);
      grain = std::max(grain, call->op->grain(call->args));
      scratch = std::max(scratch, call->op->scratch_bytes(call->args));
    }
    pool_.parallel_for(units, grain, [&](int64_t begin, int64_t end, int) {
      std::byte* memory = scratch ? thread_scratch(scratch) : nullptr;
      for (const Ready* call : calls) {  // the same share of each: a thread finds the rows that it has written before
        const int64_t own = call->op->units(call->args), first = own * begin / units, last = own * end / units;
        // What asks for no scratch gets none: a product with float weights would unpack them as codes.
        std::byte* its = call->op->scratch_bytes(call->args) ? memory : nullptr;
        if (first < last) call->op->compute(call->args, reinterpret_cast<size_t>(call->kernel), first, last, its);
      }
    });
  }

  const char* target_of(const Op& op) const override { return op.targets[op.pick(target_)]; }

  double seconds_in_kernels() override { return pool_.seconds_in_bodies(); }

 private:
  // No tensor if the packing does not hold its values.
  Tensor packed(const Format& format, const Shape& shape, const StoredRows& rows) {
    const size_t bytes = packed_bytes(format, shape);
    Tensor out{.data = allocate_once(bytes), .format = &format, .shape = shape, .layout = Layout::packed};
    std::lock_guard lock(mutex_);
    try {
      if (pack(format, shape, rows, out.data, pool_)) return out;
    } catch (...) {
      release(out.data, bytes);
      throw;
    }
    release(out.data, bytes);
    return {};
  }

  std::string target_;
  ToF16* to_f16_;
  Pool pool_;
  std::mutex mutex_;
};

}  // namespace

std::shared_ptr<Backend> cpu_backend(const std::string& target, int threads) {
  if (threads < 0 || threads > 1024)
    throw Error("ArgumentError", "threads is " + std::to_string(threads) + ", expected 1 to 1024, or 0 for all cores");
  return std::make_shared<CpuBackend>(resolve_target(target), threads ? threads : machine().cores);
}

}  // namespace cutaway
