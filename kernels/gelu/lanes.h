// gelu on sixteen lanes: for gelu and for gelu_mul.
// Included only by files that are compiled once per target.
#pragma once

#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

CUTAWAY_INLINE f32x16 gelu(f32x16 x) {
  // -2 u = x (-2 sqrt(2/pi) - 2 sqrt(2/pi) 0.044715 x^2)
  f32x16 minus_2u = x * fma(x * x, broadcast(-0.0713548162726f), broadcast(-1.59576912160573f));
  return x / (broadcast(1.0f) + exp(minus_2u));
}

}  // namespace cutaway::CUTAWAY_TARGET
