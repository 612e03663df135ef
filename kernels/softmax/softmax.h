// softmax: y[r, s] = exp(x[r, s] - m[r]) / sum_s exp(x[r, s] - m[r]),  m[r] = max_s x[r, s]
//
// An entry of -inf (masked) becomes exactly 0. A row that holds NaN or +inf, or nothing but -inf, becomes NaN.
//
// Shapes   x [R, S] -> y [R, S]; any axes before the last        Formats  f32
// Refuses  rows without elements                                Cost     8 R S bytes, 20 R S operations
#pragma once

#include "op.h"

namespace cutaway {

struct Softmax {
  const float* x;  // [R, S]
  float* y;        // [R, S]
  int64_t R, S;

  static Shape shape(const Call& call);
  static Softmax bind(const Call& call);
  int64_t units() const { return R; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void softmax(const Softmax& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
