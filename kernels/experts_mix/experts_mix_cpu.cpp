#include "experts_mix.h"
#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

void experts_mix(const ExpertsMix& a, int64_t begin, int64_t end, std::byte*) {
  const int tail = static_cast<int>(a.D % 16);
  const int64_t whole = a.D - tail;
  for (int64_t t = begin; t < end; ++t) {
    const float *x = a.x + t * a.A * a.D, *w = a.w + t * a.A;
    float* y = a.y + t * a.D;
    for (int64_t d = 0; d < whole; d += 16) {
      f32x16 sum = broadcast(0.0f);
      for (int64_t i = 0; i < a.A; ++i) sum = fma(broadcast(w[i]), load(x + i * a.D + d), sum);
      store(y + d, sum);
    }
    if (!tail) continue;
    f32x16 sum = broadcast(0.0f);
    for (int64_t i = 0; i < a.A; ++i) sum = fma(broadcast(w[i]), load_first(x + i * a.D + whole, tail), sum);
    store_first(y + whole, sum, tail);
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
