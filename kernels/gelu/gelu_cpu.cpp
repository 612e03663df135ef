#include "gelu.h"
#include "simd.h"

#include <algorithm>

namespace cutaway::CUTAWAY_TARGET {

CUTAWAY_INLINE f32x16 gelu(f32x16 x) {
  // -2 u = x (-2 sqrt(2/pi) - 2 sqrt(2/pi) 0.044715 x^2)
  f32x16 minus_2u = x * fma(x * x, broadcast(-0.0713548162726f), broadcast(-1.59576912160573f));
  return x / (broadcast(1.0f) + exp(minus_2u));
}

void gelu(const Gelu& a, int64_t begin, int64_t end, std::byte*) {
  const int64_t last = std::min(end * Gelu::kUnit, a.n);
  int64_t i = begin * Gelu::kUnit;
  for (; i + 16 <= last; i += 16) store(a.y + i, gelu(load(a.x + i)));
  const int tail = static_cast<int>(last - i);
  if (tail) store_first(a.y + i, gelu(load_first(a.x + i, tail)), tail);
}

}  // namespace cutaway::CUTAWAY_TARGET
