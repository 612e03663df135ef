// experts_mix: y[t] = sum over a of w[t, a] x[t, a], in the order of a
//
// Source   Shazeer et al. 2017, arXiv:1701.06538, eq. 1
// Shapes   x [T, A, D], w [T, A] -> y [T, D]      Formats  f32
// Refuses  w of another T or A                    Cost     4 T D (A + 1) bytes, 2 T A D operations
#pragma once

#include "op.h"

namespace cutaway {

struct ExpertsMix {
  const float* x;  // [T, A, D]
  const float* w;  // [T, A]
  float* y;        // [T, D]
  int64_t T, A, D;

  static Shape shape(const Call& call);
  static ExpertsMix bind(const Call& call);
  int64_t units() const { return T; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void experts_mix(const ExpertsMix& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
