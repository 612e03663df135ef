// rms_normalize: y[t] = x[t] / scale[t]
//
// Source   Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4
// Shapes   x [T, D], scale [T, 1] (of rms_scale) -> y [T, D]          Formats  f32
// Refuses  a scale per row missing                                 Cost     8 T D + 4 T bytes, 1 T D operations
#pragma once

#include "op.h"

namespace cutaway {

struct RmsNormalize {
  const float* x;      // [T, D]
  const float* scale;  // [T, 1]
  float* y;            // [T, D]
  int64_t T, D;

  static Shape shape(const Call& call);
  static RmsNormalize bind(const Call& call);
  int64_t units() const { return T; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void rms_normalize(const RmsNormalize& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
