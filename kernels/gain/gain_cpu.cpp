#include "gain.h"
#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

void gain(const Gain& a, int64_t begin, int64_t end, std::byte*) {
  const int tail = static_cast<int>(a.D % 16);
  const int64_t whole = a.D - tail;
  for (int64_t t = begin; t < end; ++t) {
    const float* x = a.x + t * a.D;
    float* y = a.y + t * a.D;
    for (int64_t i = 0; i < whole; i += 16) {
      f32x16 product = load(x + i) * load(a.w + i);
      store(y + i, a.bias ? product + load(a.bias + i) : product);
    }
    if (tail) {
      f32x16 product = load_first(x + whole, tail) * load_first(a.w + whole, tail);
      store_first(y + whole, a.bias ? product + load_first(a.bias + whole, tail) : product, tail);
    }
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
