// Floats: an array that grows and is never zeroed first, for copies of tensors. Arrays that are made together can lie
// in one Slab on huge pages: touching fresh memory page by page takes longer than the copy.
#pragma once

#include <cstddef>
#include <memory>

namespace cutaway {

class Slab {
 public:
  explicit Slab(size_t floats);  // raises OutOfMemoryError
  // The next `floats` of it, or null where it has no more.
  std::shared_ptr<float> take(size_t floats);

 private:
  std::shared_ptr<float> memory_;
  size_t left_, used_ = 0;
};

class Floats {
 public:
  Floats() = default;
  Floats(std::shared_ptr<float> memory, size_t room) : memory_(std::move(memory)), room_(memory_ ? room : 0) {}

  float* data() const { return memory_.get(); }
  size_t size() const { return size_; }
  float operator[](size_t i) const { return memory_.get()[i]; }
  float* grow(size_t more);  // returns where the new ones begin
  void shrink(size_t size) { size_ = size; }

 private:
  std::shared_ptr<float> memory_;
  size_t size_ = 0, room_ = 0;
};

}  // namespace cutaway
