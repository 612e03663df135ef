#include "simd.h"
#include "swiglu_oai.h"

#include <algorithm>

namespace cutaway::CUTAWAY_TARGET {

CUTAWAY_INLINE f32x16 swiglu_oai(f32x16 pre, f32x16 linear, const SwigluOai& a) {
  // min and max give their second argument where the first is NaN: NaN goes there.
  const f32x16 limit = broadcast(a.limit), one = broadcast(1.0f);
  const f32x16 g = where_nan(pre, pre, min(pre, limit));
  const f32x16 u = where_nan(linear, linear, max(min(linear, limit), broadcast(-a.limit)));
  return g / (one + exp(broadcast(0.0f) - broadcast(a.alpha) * g)) * (u + one);
}

void swiglu_oai(const SwigluOai& a, int64_t begin, int64_t end, std::byte*) {
  const int64_t last = std::min(end * SwigluOai::kUnit, a.n);
  int64_t i = begin * SwigluOai::kUnit;
  for (; i + 16 <= last; i += 16) store(a.y + i, swiglu_oai(load(a.pre + i), load(a.pre_linear + i), a));
  const int tail = static_cast<int>(last - i);
  if (tail) store_first(a.y + i, swiglu_oai(load_first(a.pre + i, tail), load_first(a.pre_linear + i, tail), a), tail);
}

}  // namespace cutaway::CUTAWAY_TARGET
