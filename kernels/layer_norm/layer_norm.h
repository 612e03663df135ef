// layer_norm: y[t] = w * (x[t] - mean(x[t])) / sqrt(mean((x[t] - mean(x[t]))^2) + eps) (+ bias)
//
// Fuses the stages layer_scale, layer_normalize and gain; gives the same bits as that chain. The mean first, then the
// squares of what is left: the shorter mean(x^2) - mean(x)^2 loses everything to cancellation when the mean is large.
//
// Source   Ba et al. 2016, arXiv:1607.06450, eq. 4
// Shapes   x [T, D], w [D], bias [D] or none -> y [T, D]                      Formats  f32
// Refuses  w or bias of another length; eps that is not a positive float32   Cost     8 T D + 8 D bytes, 8 T D
// operations
#pragma once

#include "op.h"

namespace cutaway {

struct LayerNorm {
  const float* x;     // [T, D]
  const float* w;     // [D]
  const float* bias;  // [D] or null
  float* y;           // [T, D]
  int64_t T, D;
  float eps;

  static Shape shape(const Call& call);
  static LayerNorm bind(const Call& call);
  int64_t units() const { return T; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void layer_norm(const LayerNorm& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
