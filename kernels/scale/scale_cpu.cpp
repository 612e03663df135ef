#include "scale.h"
#include "simd.h"

#include <algorithm>

namespace cutaway::CUTAWAY_TARGET {

void scale(const Scale& a, int64_t begin, int64_t end, std::byte*) {
  const f32x16 factor = broadcast(a.factor);
  const int64_t last = std::min(end * Scale::kUnit, a.n);
  int64_t i = begin * Scale::kUnit;
  for (; i + 16 <= last; i += 16) store(a.y + i, load(a.x + i) * factor);
  const int tail = static_cast<int>(last - i);
  if (tail) store_first(a.y + i, load_first(a.x + i, tail) * factor, tail);
}

}  // namespace cutaway::CUTAWAY_TARGET
