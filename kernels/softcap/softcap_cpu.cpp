#include "simd.h"
#include "softcap.h"

#include <algorithm>

namespace cutaway::CUTAWAY_TARGET {

void softcap(const Softcap& a, int64_t begin, int64_t end, std::byte*) {
  const f32x16 cap = broadcast(a.cap);
  const int64_t last = std::min(end * Softcap::kUnit, a.n);
  int64_t i = begin * Softcap::kUnit;
  for (; i + 16 <= last; i += 16) store(a.y + i, cap * tanh(load(a.x + i) / cap));
  const int tail = static_cast<int>(last - i);
  if (tail) store_first(a.y + i, cap * tanh(load_first(a.x + i, tail) / cap), tail);
}

}  // namespace cutaway::CUTAWAY_TARGET
