#include "op.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdlib>
#include <new>

#include "base/machine.h"
#include "formats/f32/f32.h"
#include "op_table.h"  // generated from the folder names: CUTAWAY_OPS(X)

namespace cutaway {

#define X(name) extern const Op op_##name;
CUTAWAY_OPS(X)
#undef X

namespace {

std::string list(const std::vector<const char*>& words) {
  std::string out;
  for (const char* word : words) out += (out.empty() ? "" : ", ") + std::string(word);
  return out;
}

}  // namespace

std::span<const Op* const> ops() {
#define X(name) &op_##name,
  static const std::vector<const Op*> all{CUTAWAY_OPS(X)};
#undef X
  return all;
}

const Op* find_op(std::string_view name) {
  for (const Op* op : ops())
    if (op->name == name) return op;
  return nullptr;
}

void Op::run(const Call& call, size_t kernel, Pool& pool) const {
  alignas(64) std::byte args[kMostArgs];
  bind(call, args);
  const size_t scratch = scratch_bytes(args);
  pool.parallel_for(units(args), grain(args), [&](int64_t begin, int64_t end, int) {
    std::byte* memory = scratch ? thread_scratch(scratch) : nullptr;
    if (call.guarded && memory) poison_scratch(memory, scratch);
    compute(args, kernel, begin, end, memory);
    if (call.guarded && memory) check_scratch(call, memory, scratch);
  });
}

size_t Op::pick(const std::string& target) const {
  // Targets from best to plainest, in the order of machine(): the first the op has at or below `target`.
  const auto& known = machine().targets;
  for (auto it = std::find(known.begin(), known.end(), target); it != known.end(); ++it)
    for (size_t i = 0; i < targets.size(); ++i)
      if (*it == targets[i]) return i;
  return targets.size() - 1;
}

size_t Op::named(const std::string& target) const {
  for (size_t i = 0; i < targets.size(); ++i)
    if (target == targets[i]) {
      resolve_target(target);
      return i;
    }
  throw Error("UnsupportedOperation",
              std::string(name) + " has no kernel for target " + printable(target) + "; it has " + list(targets));
}

float* floats(const Call& call, const Tensor& tensor, const char* name) {
  if (tensor.format != &format_f32)
    throw Error("ArgumentError",
                std::string(call.who) + ": " + name + " is " + (tensor.format ? tensor.format->name : "integers") +
                    ", expected f32",
                std::string("pass ") + name + " as float32");
  return tensor.f32();
}

void check_sinks(const Call& call, int64_t H) {
  const Shape& sinks = call.weights[0].shape;
  CHECK_SHAPE(call, sinks.elements() == H,
              "sinks is " + sinks.str() + ", expected one for each head: [H] = [" + std::to_string(H) + "]");
}

void check_indices(const Call& call, const Tensor& indices, int64_t T, int64_t X) {
  const Shape& shape = indices.shape;
  if (indices.format) throw Error("ArgumentError", std::string(call.who) + ": indices are not integers");
  CHECK_SHAPE(call, shape.rank == 2 && shape[0] == T && shape[1] > 0,
              "indices is " + shape.str() + ", expected [T, A] with T = " + std::to_string(T));
  for (int64_t i = 0; call.host && i < shape.elements(); ++i)
    if (indices.i32()[i] < 0 || indices.i32()[i] >= X)
      throw Error("ArgumentError", std::string(call.who) + ": indices[" + std::to_string(i / shape[1]) + ", " +
                                       std::to_string(i % shape[1]) + "] is " + std::to_string(indices.i32()[i]) +
                                       ", expected 0 <= index < " + std::to_string(X));
}

float finite(const Call& call, const char* name) {
  const auto x = static_cast<float>(call.number(name, NAN));
  if (std::isfinite(x)) return x;
  throw Error("ArgumentError", std::string(call.who) + ": " + name + " is missing or not finite");
}

float positive_eps(const Call& call) {
  double eps = call.number("eps", 0);
  if (eps >= FLT_MIN && eps <= FLT_MAX) return static_cast<float>(eps);
  throw Error("ArgumentError", std::string(call.who) + ": eps is " + std::to_string(eps) +
                                   ", expected a positive float32, at least 1.2e-38");
}

constexpr size_t kScratchGuard = 64;       // bytes behind every scratch
constexpr std::byte kScratchPoison{0xff};  // four of them are a NaN

void poison_scratch(std::byte* scratch, size_t bytes) {
  std::fill(scratch, scratch + bytes + kScratchGuard, kScratchPoison);
}

void check_scratch(const Call& call, const std::byte* scratch, size_t bytes) {
  if (std::any_of(scratch + bytes, scratch + bytes + kScratchGuard, [](std::byte b) { return b != kScratchPoison; }))
    throw Error("InternalError",
                std::string(call.who) + " wrote behind its scratch of " + std::to_string(bytes) + " bytes");
}

std::byte* thread_scratch(size_t bytes) {
  struct Memory {
    std::byte* data = nullptr;
    size_t bytes = 0;
    ~Memory() { std::free(data); }
  };
  thread_local Memory memory;
  if (memory.bytes < bytes + kScratchGuard) {
    std::free(memory.data);
    memory.bytes = (bytes + kScratchGuard + 4095) / 4096 * 4096;
    memory.data = static_cast<std::byte*>(std::aligned_alloc(64, memory.bytes));
    if (!memory.data) {
      memory.bytes = 0;
      throw std::bad_alloc();
    }
  }
  return memory.data;
}

}  // namespace cutaway
