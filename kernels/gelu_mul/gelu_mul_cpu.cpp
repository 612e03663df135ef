#include "gelu/lanes.h"
#include "gelu_mul.h"

#include <algorithm>

namespace cutaway::CUTAWAY_TARGET {

void gelu_mul(const GeluMul& a, int64_t begin, int64_t end, std::byte*) {
  const int64_t last = std::min(end * GeluMul::kUnit, a.n);
  int64_t i = begin * GeluMul::kUnit;
  for (; i + 16 <= last; i += 16) store(a.y + i, gelu(load(a.pre + i)) * load(a.pre_linear + i));
  const int tail = static_cast<int>(last - i);
  if (tail) store_first(a.y + i, gelu(load_first(a.pre + i, tail)) * load_first(a.pre_linear + i, tail), tail);
}

}  // namespace cutaway::CUTAWAY_TARGET
