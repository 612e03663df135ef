#include "copy.h"

#include <algorithm>
#include <cstring>

namespace cutaway::CUTAWAY_TARGET {

void copy(const Copy& a, int64_t begin, int64_t end, std::byte*) {
  const int64_t first = begin * Copy::kUnit, last = std::min(end * Copy::kUnit, a.n);
  std::memcpy(a.y + first, a.x + first, static_cast<size_t>(last - first) * sizeof(float));
}

}  // namespace cutaway::CUTAWAY_TARGET
