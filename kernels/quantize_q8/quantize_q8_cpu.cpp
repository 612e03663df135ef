#include "quantize_q8.h"

#include <cfloat>

#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

static void round_block(const float* x, BlockQ8& out) {
  f32x16 low = load(x), high = load(x + 16);
  const float magnitude = largest_magnitude(low, high), d = magnitude / 127.0f;
  const bool finite = magnitude <= FLT_MAX;
  const bool normal = finite && d >= 0x1p-126f;
  out.d = normal ? d : finite ? 0.0f : NAN;
  const f32x16 inverse = broadcast(normal ? 1.0f / d : 0.0f);
  if (!finite) low = high = broadcast(0.0f);
  const int32_t sums[2] = {store_i8(out.q, round_to_i32(low * inverse)),
                           store_i8(out.q + 16, round_to_i32(high * inverse))};
  for (int j = 0; j < 2; ++j) out.start[j] = -128 * sums[j];
  out.total = out.d * static_cast<float>(sums[0] + sums[1]);
}

void quantize_q8(const QuantizeQ8& a, int64_t begin, int64_t end, std::byte*) {
  const int64_t blocks = a.K / 32;
  if (!a.behind) {
    for (int64_t i = begin * blocks; i < end * blocks; ++i) round_block(a.x + i * 32, a.y[i]);
    return;
  }
  const Units units = a.product_units();
  Units::Unit unit = units.at(begin);
  for (int64_t i = begin; i < end; ++i, units.next(unit))
    for (int64_t t = units.first_token(unit), last = units.last_token(unit); t < last; ++t)
      round_block(a.x + (t * blocks + unit.group) * 32, a.y[t * blocks + unit.group]);
}

}  // namespace cutaway::CUTAWAY_TARGET
