// softmax: y[r, s] = exp(x[r, s] - m[r]) / sum_s exp(x[r, s] - m[r]),  m[r] = max_s x[r, s]
//
// With sinks the row r of head h = r % H has one more element, sinks[h], in its maximum and in its sum; it is not
// written, so the row adds up to less than 1.
//
// An entry of -inf (masked) becomes exactly 0. A row that holds NaN or +inf, or nothing but -inf, becomes NaN.
//
// Source   the sinks: OpenAI 2025, gpt-oss model card, arXiv:2508.10925, sec. 2.1; Xiao et al. 2023, arXiv:2309.17453
// Shapes   x [R, S], sinks [H] or none -> y [R, S]; any axes before the last        Formats  f32
// Refuses  rows without elements; sinks that are not one for each of x's heads
// Cost     8 R S bytes, 20 R S operations
#pragma once

#include "op.h"

namespace cutaway {

struct Softmax {
  const float* x;  // [R, S]
  float* y;        // [R, S]
  int64_t R, S;
  const float* sinks;  // [H] or null
  int64_t H;           // 1 without sinks

  static Shape shape(const Call& call);
  static Softmax bind(const Call& call);
  int64_t units() const { return R; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void softmax(const Softmax& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
