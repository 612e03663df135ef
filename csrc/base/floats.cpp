#include "base/floats.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace cutaway {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

std::shared_ptr<float> allocate(size_t floats) {
  const size_t bytes = std::max<size_t>(floats * sizeof(float), 64);
  void* memory = nullptr;
  if (posix_memalign(&memory, bytes >= kHugePage ? kHugePage : 64, bytes)) memory = nullptr;
  if (!memory)
    throw Error("OutOfMemoryError", "the operating system refused " + std::to_string(bytes) + " bytes", "",
                {{"bytes", static_cast<uint64_t>(bytes)}});
  if (bytes >= kHugePage) madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  return {static_cast<float*>(memory), [](float* p) { std::free(p); }};
}

}  // namespace

Slab::Slab(size_t floats) : memory_(allocate(floats)), left_(floats) {}

std::shared_ptr<float> Slab::take(size_t floats) {
  if (floats > left_) return nullptr;
  std::shared_ptr<float> out(memory_, memory_.get() + used_);
  used_ += floats;
  left_ -= floats;
  return out;
}

float* Floats::grow(size_t more) {
  if (size_ + more > room_) {
    const size_t room = size_ ? std::max(size_ + more, 2 * room_) : more;
    std::shared_ptr<float> larger = allocate(room);
    if (size_) std::memcpy(larger.get(), memory_.get(), size_ * sizeof(float));
    memory_ = std::move(larger);
    room_ = room;
  }
  size_ += more;
  return memory_.get() + size_ - more;
}

}  // namespace cutaway
