// gated_matmul: y[t, n] = silu(sum_k x[t, k] gate[n, k]) * sum_k x[t, k] up[n, k];  silu(a) = a / (1 + e^-a)
//
// Source   Shazeer 2020, arXiv:2002.05202, eq. 6 (SwiGLU)
// Shapes   x [T, K], gate and up [N, K] packed -> y [T, N]     Formats  as matmul
// Refuses  as matmul; gate and up of different shapes          Cost     both weights' bytes + 4 T (K + N), 4 T N K
// operations
//
// Fuses the stages pre, pre_linear and post; gives the same bits as matmul, matmul, silu_mul.
#pragma once

#include "matmul/matmul.h"

namespace cutaway {

struct GatedMatmul {
  Matmul gate, up;  // of the same x; both write nothing themselves
  float* y;         // [T, N]

  static Shape shape(const Call& call);
  static GatedMatmul bind(const Call& call);
  // kStrips strips of each, 32 columns: whole blocks of quantize_q8, which may run behind.
  int64_t units() const { return Units(gate.T, gate.N, kStrips).count(); }
  static size_t opened_bytes(const Matmul& half) {
    return kStrips * unpacked_bytes(*half.format, half.K, half.T, half.blocks);
  }
  size_t scratch_bytes() const { return opened_bytes(gate) + opened_bytes(up); }
};

CUTAWAY_DECLARE(void gated_matmul(const GatedMatmul& a, int64_t begin, int64_t end, std::byte* scratch))

}  // namespace cutaway
