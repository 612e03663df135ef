// gelu_mul: y = gelu(pre) * pre_linear,  gelu in its tanh form as in the op gelu
//
// The middle of a gated MLP.
//
// Source   Shazeer 2020, arXiv:2002.05202, eq. 6 (GEGLU); Hendrycks & Gimpel 2016, arXiv:1606.08415, sec. 2
// Shapes   pre [...], pre_linear of the same shape -> y      Formats  f32
// Refuses  two shapes                                        Cost     12 bytes, 21 operations an element
#pragma once

#include "op.h"

namespace cutaway {

struct GeluMul {
  const float* pre;         // [n]
  const float* pre_linear;  // [n]
  float* y;                 // [n]
  int64_t n;

  static constexpr int64_t kUnit = 4096;  // elements a thread takes at least

  static Shape shape(const Call& call);
  static GeluMul bind(const Call& call);
  int64_t units() const { return (n + kUnit - 1) / kUnit; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void gelu_mul(const GeluMul& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
