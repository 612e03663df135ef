// silu_mul: y = pre / (1 + exp(-pre)) * pre_linear
//
// The middle of a gated MLP. Where exp(-pre) overflows, at pre < -88.7, the result is 0 instead of a number under 1e-36
// times pre_linear.
//
// Source   Shazeer 2020, arXiv:2002.05202, eq. 6 (SwiGLU); SiLU of Elfwing et al. 2017, arXiv:1702.03118
// Shapes   pre [...], pre_linear of the same shape -> y      Formats  f32
// Refuses  two shapes                                        Cost     12 bytes, 18 operations an element
#pragma once

#include "op.h"

namespace cutaway {

struct SiluMul {
  const float* pre;         // [n]
  const float* pre_linear;  // [n]
  float* y;                 // [n]
  int64_t n;

  static constexpr int64_t kUnit = 4096;  // elements a thread takes at least

  static Shape shape(const Call& call);
  static SiluMul bind(const Call& call);
  int64_t units() const { return (n + kUnit - 1) / kUnit; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void silu_mul(const SiluMul& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
