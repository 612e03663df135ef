// experts_matmul: y[t, a] = w[i[t, a]] x[t, a] + bias[i[t, a]]: each token's row times the matrices of its experts
//
// Shapes   x [T, K], or [T, A, K] with a row for each expert; indices int32 [T, A]; w [X, N, K] packed, bias [X, N]
//          -> y [T, A, N]
// Formats  w in any; x f32, or the q8 blocks of quantize_q8 when w has codes (numerics "fast")
// Refuses  an index outside [0, X); x and w of different K; q8 x with float w
// Cost     the chosen experts' bytes + 4 T A (K + N), 2 T A N K operations
//
// The products are matmul's, in its order: an expert alone gives the bits of a matmul with its matrix.
#pragma once

#include "matmul/matmul.h"

namespace cutaway {

struct ExpertsMatmul {
  const float* x;          // [T, K] or [T, A, K], or null
  const BlockQ8* blocks;   // [T, K / 32] or [T, A, K / 32], or null
  const int32_t* indices;  // [T, A]
  const std::byte* w;      // packed strips, expert after expert
  const float* bias;       // [X, N], or null
  float* y;                // [T, A, N]
  int64_t T, A, X, N, K;
  bool own_rows;         // x has a row for each expert
  const Format* format;  // of w

  static Shape shape(const Call& call);
  static ExpertsMatmul bind(const Call& call);
  // A unit is some strips of one expert.
  int64_t abreast() const { return strips_together(T); }
  int64_t units() const { return X * ((strips(N) + abreast() - 1) / abreast()); }
  // The choices sorted by expert, then the strips unpacked: no expert is chosen more than T A times.
  size_t sorted_bytes() const { return static_cast<size_t>(X + 1 + T * A + 15) / 16 * 64; }
  size_t scratch_bytes() const {
    return sorted_bytes() + static_cast<size_t>(abreast()) * unpacked_bytes(*format, K, T * A, blocks);
  }
};

CUTAWAY_DECLARE(void experts_matmul(const ExpertsMatmul& a, int64_t begin, int64_t end, std::byte* scratch))

}  // namespace cutaway
