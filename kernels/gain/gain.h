// gain: y[t] = x[t] * w (+ bias)
//
// The last step of rms_norm and layer_norm: one weight, and where the model has it one bias, for each channel.
//
// Shapes   x [T, D], w [D], bias [D] or none -> y [T, D]       Formats  f32
// Refuses  w or bias of another length                         Cost     8 T D + 4 D bytes, T D operations (bias: twice)
#pragma once

#include "op.h"

namespace cutaway {

struct Gain {
  const float* x;     // [T, D]
  const float* w;     // [D]
  const float* bias;  // [D] or null
  float* y;           // [T, D]
  int64_t T, D;

  static Shape shape(const Call& call);
  static Gain bind(const Call& call);
  int64_t units() const { return T; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void gain(const Gain& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
