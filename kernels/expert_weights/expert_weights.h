// expert_weights: w[t, a] = exp(x[t, i[t, a]] - m) / sum over b of exp(x[t, i[t, b]] - m),  m = max_b x[t, i[t, b]]
//
// The softmax of the chosen experts' logits alone.
//
// Source   the router of gpt-oss: OpenAI 2025, arXiv:2508.10925, sec. 2.1
// Shapes   x [T, X], indices int32 [T, A] -> w [T, A]      Formats  f32
// Refuses  an index outside [0, X); another T              Cost     12 T A bytes, 20 T A operations
#pragma once

#include "op.h"

namespace cutaway {

struct ExpertWeights {
  const float* x;          // [T, X]
  const int32_t* indices;  // [T, A]
  float* w;                // [T, A]
  int64_t T, X, A;

  static Shape shape(const Call& call);
  static ExpertWeights bind(const Call& call);
  int64_t units() const { return T; }
  size_t scratch_bytes() const { return static_cast<size_t>(A + 16) * sizeof(float); }
};

CUTAWAY_DECLARE(void expert_weights(const ExpertWeights& a, int64_t begin, int64_t end, std::byte* scratch))

}  // namespace cutaway
