// Op: a named computation with one contract. Kernel: one implementation of an op for one target. Executors, Python and
// tests all come in through the same door, Op::run, and can name the kernel they want.
//
// A kernel computes units [begin, end) of its outputs (rows, or groups of rows). Every unit is computed in one fixed
// order that does not depend on how the units are split among threads, so the number of threads never shows in the
// bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/tensor.h"
#include "base/threads.h"

namespace cutaway {

// A number that belongs to a stage and not to its tensors: eps, scale, window. Integers fit exactly up to 2^53.
using Attributes = std::vector<std::pair<std::string, double>>;

// One use of an op: its tensors and numbers.
struct Call {
  std::string_view who;             // the stage, or the op's name when it is called alone; errors begin with it
  std::span<const Tensor> reads;    // activations; an absent optional one has data == nullptr
  std::span<const Tensor> weights;  // likewise
  Tensor out;
  const Attributes* attributes = nullptr;
  bool host = true;     // whether the tensors lie in memory that bind can read: only then it looks at ids and positions
  bool behind = false;  // runs together with the call before it, on each thread's share of what that one computes
  bool guarded = false;  // tests: scratch begins as NaN, and no byte behind it may change

  double number(std::string_view name, double fallback) const {
    for (const auto& [key, value] : *attributes)
      if (key == name) return value;
    return fallback;
  }
  bool has_weight(size_t i) const { return i < weights.size() && weights[i].data; }
};

template <class Args>
struct Kernel {
  const char* target;
  // Computes units [begin, end). `scratch` is this thread's own, Args::scratch_bytes() long, 64-byte aligned.
  void (*run)(const Args& args, int64_t begin, int64_t end, std::byte* scratch);
};

constexpr size_t kMostArgs = 512;  // bytes of an argument struct

struct Op {
  const char* name;
  std::vector<const char*> reads;       // argument names in order; a leading '?' marks an optional one
  std::vector<const char*> weights;     // likewise
  std::vector<const char*> attributes;  // likewise
  std::vector<const char*> targets;     // of its kernels, best first
  // True: runs once per sequence. Its first read and its output hold that sequence's new rows, its other reads all
  // positions so far (the cache), of which the new rows are the last.
  bool per_sequence;
  bool integers;  // its output is int32: a choice, such as top_k's

  // Raises ShapeError or ArgumentError; returns the natural shape of out. call.out is not looked at.
  Shape (*shape)(const Call& call);
  // Checks the call, whose out holds as many elements as shape() says, and makes the argument struct in `args`,
  // args_bytes long. What follows takes such a struct, and a kernel as an index into targets.
  void (*bind)(const Call& call, void* args);
  size_t args_bytes;
  int64_t (*units)(const void* args);
  int64_t (*grain)(const void* args);  // so many units in a row share work: threads take no fewer, if there is enough
  size_t (*scratch_bytes)(const void* args);
  void (*compute)(const void* args, size_t kernel, int64_t begin, int64_t end, std::byte* scratch);

  // All of it: checks, and computes every unit.
  void run(const Call& call, size_t kernel, Pool& pool) const;
  // The kernel that runs at `target` or, where the op has none of its own for it, below it.
  size_t pick(const std::string& target) const;
  // The kernel of exactly this target; raises UnsupportedOperation listing what the op has and the machine runs.
  size_t named(const std::string& target) const;
};

std::span<const Op* const> ops();
const Op* find_op(std::string_view name);  // null: there is none

// At least `bytes` of 64-byte aligned memory that belongs to the calling thread, kept between calls.
std::byte* thread_scratch(size_t bytes);

// For guarded calls: what an earlier call left in scratch must not stand in for what this one forgets to write.
void poison_scratch(std::byte* scratch, size_t bytes);
void check_scratch(const Call& call, const std::byte* scratch, size_t bytes);  // raises InternalError

[[noreturn]] inline void shape_error(const Call& call, const std::string& message) {
  throw Error("ShapeError", std::string(call.who) + ": " + message);
}

// Raises ShapeError unless it holds. A macro, so that the message is only put together when it is needed.
#define CHECK_SHAPE(call, holds, message)     \
  do {                                        \
    if (!(holds)) shape_error(call, message); \
  } while (0)

// Raises ShapeError unless `shape`, of the weight `name`, is one number for each channel of x.
inline void check_channels(const Call& call, const char* name, const Shape& shape, const Shape& x) {
  if (shape.elements() == x.last()) return;
  shape_error(call, std::string(name) + " is " + shape.str() + ", expected [D] = [" + std::to_string(x.last()) +
                        "], the last axis of x");
}

// Raises ShapeError unless the weight 0, sinks, is one number for each of H heads.
void check_sinks(const Call& call, int64_t H);

// Raises unless `indices` are integers [T, A] in [0, X): which experts each token goes to. (The values are looked at
// only where the tensors lie in memory.)
void check_indices(const Call& call, const Tensor& indices, int64_t T, int64_t X);

// The floats of a tensor that has to be f32; raises ArgumentError naming it where it is anything else.
float* floats(const Call& call, const Tensor& tensor, const char* name);

// An attribute as a float32; raises ArgumentError unless it is there and finite.
float finite(const Call& call, const char* name);

// The attribute eps, which keeps a divisor away from zero; raises ArgumentError unless it is a positive normal float32.
float positive_eps(const Call& call);

// Makes the Op of an argument struct. Args has: static Args bind(const Call&) (checks, raises), static Shape
// shape(const Call&), int64_t units() const, size_t scratch_bytes() const, and
// int64_t grain() const if it is not 1. Kernels is the op's table, best first.
template <class Args, const auto& Kernels>
Op make_op(const char* name, std::vector<const char*> reads, std::vector<const char*> weights,
           std::vector<const char*> attributes, bool per_sequence = false) {
  std::vector<const char*> targets;
  for (const auto& kernel : Kernels) targets.push_back(kernel.target);
  static constexpr auto checked = [](const Call& call) {
    const Shape expected = Args::shape(call);
    CHECK_SHAPE(call, call.out.shape.elements() == expected.elements(),
                "out is " + call.out.shape.str() + ", expected " + expected.str());
    return Args::bind(call);
  };
  static_assert(std::is_trivially_copyable_v<Args> && sizeof(Args) <= kMostArgs, "it is copied as bytes");
  auto bind = [](const Call& call, void* args) { new (args) Args(checked(call)); };
  auto units = [](const void* args) { return static_cast<const Args*>(args)->units(); };
  auto grain = [](const void* args) -> int64_t {
    if constexpr (requires(const Args& a) { a.grain(); }) return static_cast<const Args*>(args)->grain();
    else return 1;
  };
  auto scratch_bytes = [](const void* args) { return static_cast<const Args*>(args)->scratch_bytes(); };
  auto compute = [](const void* args, size_t kernel, int64_t begin, int64_t end, std::byte* scratch) {
    Kernels[kernel].run(*static_cast<const Args*>(args), begin, end, scratch);
  };
  constexpr bool integers = requires { Args::kIntegers; };
  return Op{name,
            std::move(reads),
            std::move(weights),
            std::move(attributes),
            std::move(targets),
            per_sequence,
            integers,
            Args::shape,
            bind,
            sizeof(Args),
            units,
            grain,
            scratch_bytes,
            compute};
}

// A function that every CPU target has: declared once per target, listed once in the op's table.
// clang-format off
#if defined(__x86_64__)
#define CUTAWAY_DECLARE(function)              \
  namespace avx512vnni { function; }           \
  namespace avx512 { function; }               \
  namespace avx2vnni { function; }             \
  namespace avx2 { function; }                 \
  namespace scalar { function; }
#define CUTAWAY_KERNELS(name) \
  {{"avx512vnni", avx512vnni::name}, {"avx512", avx512::name}, {"avx2vnni", avx2vnni::name}, \
   {"avx2", avx2::name}, {"scalar", scalar::name}}
#else
#define CUTAWAY_DECLARE(function) \
  namespace scalar { function; }
#define CUTAWAY_KERNELS(name) {{"scalar", scalar::name}}
#endif
// clang-format on

}  // namespace cutaway
