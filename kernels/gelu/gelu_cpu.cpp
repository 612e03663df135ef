#include "gelu.h"
#include "lanes.h"

#include <algorithm>

namespace cutaway::CUTAWAY_TARGET {

void gelu(const Gelu& a, int64_t begin, int64_t end, std::byte*) {
  const int64_t last = std::min(end * Gelu::kUnit, a.n);
  int64_t i = begin * Gelu::kUnit;
  for (; i + 16 <= last; i += 16) store(a.y + i, gelu(load(a.x + i)));
  const int tail = static_cast<int>(last - i);
  if (tail) store_first(a.y + i, gelu(load_first(a.x + i, tail)), tail);
}

}  // namespace cutaway::CUTAWAY_TARGET
