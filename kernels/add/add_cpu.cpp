#include "add.h"
#include "simd.h"

#include <algorithm>

namespace cutaway::CUTAWAY_TARGET {

void add(const Add& a, int64_t begin, int64_t end, std::byte*) {
  const int64_t last = std::min(end * Add::kUnit, a.n);
  int64_t i = begin * Add::kUnit;
  for (; i + 16 <= last; i += 16) store(a.z + i, load(a.x + i) + load(a.y + i));
  const int tail = static_cast<int>(last - i);
  if (tail) store_first(a.z + i, load_first(a.x + i, tail) + load_first(a.y + i, tail), tail);
}

}  // namespace cutaway::CUTAWAY_TARGET
