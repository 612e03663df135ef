#include "cached.h"
#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

void to_f16(const float* from, uint16_t* to, int64_t count) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store_f16(to + i, load(from + i));
  if (i == count) return;
  uint16_t rest[16];
  store_f16(rest, load_first(from + i, static_cast<int>(count - i)));
  std::copy(rest, rest + (count - i), to + i);
}

}  // namespace cutaway::CUTAWAY_TARGET
