// silu(pre) * linear on sixteen lanes: for silu_mul and for gated_matmul, which must give its bits.
// Included only by files that are compiled once per target.
#pragma once

#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

CUTAWAY_INLINE f32x16 silu_mul(f32x16 pre, f32x16 linear) {
  return pre / (broadcast(1.0f) + exp(broadcast(0.0f) - pre)) * linear;
}

}  // namespace cutaway::CUTAWAY_TARGET
