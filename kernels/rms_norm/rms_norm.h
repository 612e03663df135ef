// rms_norm: y[t] = w * x[t] / sqrt(mean(x[t]^2) + eps)
//
// Fuses the stages rms_scale, rms_normalize and gain; gives the same bits as that chain.
//
// Source   Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4
// Shapes   x [T, D], w [D] -> y [T, D]                                    Formats  f32
// Refuses  w of another length; eps that is not a positive float32       Cost     8 T D + 4 D bytes, 4 T D operations
#pragma once

#include "op.h"

namespace cutaway {

struct RmsNorm {
  const float* x;  // [T, D]
  const float* w;  // [D]
  float* y;        // [T, D]
  int64_t T, D;
  float eps;

  static Shape shape(const Call& call);
  static RmsNorm bind(const Call& call);
  int64_t units() const { return T; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void rms_norm(const RmsNorm& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
