#include "base/floats.h"

#include <algorithm>
#include <cstring>

#include "base/memory.h"

namespace cutaway {
namespace {

std::shared_ptr<float> allocate(size_t floats) {
  const size_t bytes = floats * sizeof(float);
  return {static_cast<float*>(allocate_pages(bytes)), [bytes](float* p) { free_pages(p, bytes); }};
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
