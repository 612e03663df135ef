// Tensor: an address, a format and a shape. It owns nothing; arenas, caches and weights own, and outlive their tensors.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace cutaway {

struct Format;  // kernels/formats/format.h

struct Shape {
  std::array<int64_t, 4> axes{1, 1, 1, 1};
  int rank = 0;

  Shape() = default;
  Shape(std::initializer_list<int64_t> list) {
    for (int64_t n : list) axes[static_cast<size_t>(rank++)] = n;
  }
  int64_t operator[](int i) const { return axes[static_cast<size_t>(i)]; }
  int64_t& operator[](int i) { return axes[static_cast<size_t>(i)]; }
  int64_t elements() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= (*this)[i];
    return n;
  }
  int64_t last() const { return rank ? (*this)[rank - 1] : 1; }
  int64_t rows() const { return last() ? elements() / last() : 0; }  // all axes but the last
  bool operator==(const Shape& other) const {
    if (rank != other.rank) return false;
    for (int i = 0; i < rank; ++i)
      if ((*this)[i] != other[i]) return false;
    return true;
  }
  std::string str() const {
    std::string out = "[";
    for (int i = 0; i < rank; ++i) out += (i ? ", " : "") + std::to_string((*this)[i]);
    return out + "]";
  }
};

// How a tensor's elements lie in memory. `plain`: as the format says, rows one after the other. `packed`: a weight laid
// out for the CPU's matmul, 16 rows interleaved (kernels/formats/packed.h). `q8`: activations rounded by quantize_q8.
enum class Layout { plain, packed, q8 };

struct Tensor {
  void* data = nullptr;
  const Format* format = nullptr;  // null: i32 (token ids, positions)
  Shape shape;
  Layout layout = Layout::plain;

  float* f32() const { return static_cast<float*>(data); }
  const int32_t* i32() const { return static_cast<const int32_t*>(data); }
};

}  // namespace cutaway
