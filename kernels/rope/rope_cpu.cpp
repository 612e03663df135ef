#include "rope.h"
#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

// y may be x: each pair is read before it is written.
void rope(const Rope& a, int64_t begin, int64_t end, std::byte*) {
  if (begin == end) return;
  RopeTurns& turns = rope_turns(a);
  for (int64_t t = begin; t < end; ++t) {
    const float *cosines = rope_turn(turns, a.positions[t]), *sines = cosines + a.half;
    for (int64_t h = 0; h < a.H; ++h) {
      const float *x1 = a.x + (t * a.H + h) * a.E, *x2 = x1 + a.half;
      float *y1 = a.y + (t * a.H + h) * a.E, *y2 = y1 + a.half;
      for (int64_t i = 0; i < a.half; i += 16) {
        const int n = static_cast<int>(a.half - i < 16 ? a.half - i : 16);
        if (n == 16) {
          const f32x16 p = load(x1 + i), q = load(x2 + i), c = load(cosines + i), s = load(sines + i);
          store(y1 + i, p * c - q * s);
          store(y2 + i, p * s + q * c);
        } else {
          const f32x16 p = load_first(x1 + i, n), q = load_first(x2 + i, n);
          const f32x16 c = load_first(cosines + i, n), s = load_first(sines + i, n);
          store_first(y1 + i, p * c - q * s, n);
          store_first(y2 + i, p * s + q * c, n);
        }
      }
      for (int64_t j = 2 * a.half; j < a.E; ++j) y1[j] = x1[j];
    }
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
