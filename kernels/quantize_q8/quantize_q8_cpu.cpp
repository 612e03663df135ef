#include "quantize_q8.h"

#include <cfloat>

#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

void quantize_q8(const QuantizeQ8& a, int64_t begin, int64_t end, std::byte*) {
  const int64_t blocks = a.K / 32;
  for (int64_t i = begin * blocks; i < end * blocks; ++i) {
    f32x16 low = load(a.x + i * 32), high = load(a.x + i * 32 + 16);
    BlockQ8& out = a.y[i];
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
}

}  // namespace cutaway::CUTAWAY_TARGET
