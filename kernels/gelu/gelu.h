// gelu: y = x / (1 + exp(-2 u)),  u = sqrt(2 / pi) (x + 0.044715 x^3)
//
// The tanh form, x / 2 (1 + tanh(u)), rewritten so that nothing cancels for negative x. Below exp's overflow, at
// 2 u < -88.7 (x < -10.1), the result is -0 instead of a number under 1e-37.
//
// Source   Hendrycks & Gimpel 2016, arXiv:1606.08415, sec. 2; "gelu_new", "gelu_pytorch_tanh"
// Shapes   x [...] -> y [...]          Formats  f32
// Refuses  x in another format         Cost     8 bytes, 20 operations an element
#pragma once

#include "op.h"

namespace cutaway {

struct Gelu {
  const float* x;  // [n]
  float* y;        // [n]
  int64_t n;

  static constexpr int64_t kUnit = 4096;  // elements a thread takes at least

  static Shape shape(const Call& call);
  static Gelu bind(const Call& call);
  int64_t units() const { return (n + kUnit - 1) / kUnit; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void gelu(const Gelu& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
