// rms_scale: scale[t] = sqrt(mean(x[t]^2) + eps)
//
// Source   Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4: the divisor
// Shapes   x [T, D] -> scale [T, 1]          Formats  f32
// Refuses  eps that is not a positive float32         Cost     4 T D + 4 T bytes, 2 T D operations
#pragma once

#include "op.h"

namespace cutaway {

struct RmsScale {
  const float* x;  // [T, D]
  float* scale;    // [T, 1]
  int64_t T, D;
  float eps;

  static Shape shape(const Call& call);
  static RmsScale bind(const Call& call);
  int64_t units() const { return T; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void rms_scale(const RmsScale& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
