// layer_normalize: y[t] = (x[t] - mean(x[t])) / scale[t]
//
// Source   Ba et al. 2016, arXiv:1607.06450, eq. 4
// Shapes   x [T, D], scale [T, 1] (of layer_scale) -> y [T, D]          Formats  f32
// Refuses  a scale per row missing                                 Cost     8 T D + 4 T bytes, 3 T D operations
#pragma once

#include "op.h"

namespace cutaway {

struct LayerNormalize {
  const float* x;      // [T, D]
  const float* scale;  // [T, 1]
  float* y;            // [T, D]
  int64_t T, D;

  static Shape shape(const Call& call);
  static LayerNormalize bind(const Call& call);
  int64_t units() const { return T; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void layer_normalize(const LayerNormalize& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
