// top_k: indices[t] = the k columns of x[t] with the largest values, in descending order; of equals the lowest column
// first. NaN is smaller than everything.
//
// Source   the router of gpt-oss: OpenAI 2025, arXiv:2508.10925, sec. 2.1
// Shapes   x [T, X] -> indices int32 [T, k]                  Formats  f32
// Refuses  k below 1 or above X                              Cost     4 T (X + k) bytes, T X k operations
#pragma once

#include "op.h"

namespace cutaway {

struct TopK {
  const float* x;    // [T, X]
  int32_t* indices;  // [T, k]
  int64_t T, X, k;

  static constexpr bool kIntegers = true;

  static Shape shape(const Call& call);
  static TopK bind(const Call& call);
  int64_t units() const { return T; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void top_k(const TopK& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
