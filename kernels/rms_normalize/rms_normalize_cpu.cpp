#include "rms_normalize.h"
#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

void rms_normalize(const RmsNormalize& a, int64_t begin, int64_t end, std::byte*) {
  const int tail = static_cast<int>(a.D % 16);
  const int64_t whole = a.D - tail;
  for (int64_t t = begin; t < end; ++t) {
    const float* x = a.x + t * a.D;
    float* y = a.y + t * a.D;
    const f32x16 scale = broadcast(a.scale[t]);
    for (int64_t i = 0; i < whole; i += 16) store(y + i, load(x + i) / scale);
    if (tail) store_first(y + whole, load_first(x + whole, tail) / scale, tail);
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
