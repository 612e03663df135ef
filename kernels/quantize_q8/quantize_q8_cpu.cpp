#include "quantize_q8.h"
#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

void quantize_q8(const QuantizeQ8& a, int64_t begin, int64_t end, std::byte*) {
  const int64_t blocks = a.K / 32;
  for (int64_t i = begin * blocks; i < end * blocks; ++i) {
    f32x16 low = load(a.x + i * 32), high = load(a.x + i * 32 + 16);
    BlockQ8& out = a.y[i];
    const bool finite = zero_lanes((low - low) + (high - high)) == 0xffff;  // infinity - infinity is NaN
    const float d = largest(max(abs(low), abs(high))) / 127.0f;
    const bool normal = finite && d >= 0x1p-126f;
    out.d = normal ? d : finite ? 0.0f : NAN;
    const f32x16 inverse = broadcast(normal ? 1.0f / d : 0.0f);
    if (!finite) low = high = broadcast(0.0f);
    const i32x16 q[2] = {round_to_i32(low * inverse), round_to_i32(high * inverse)};
    int32_t sums[2];
    for (int j = 0; j < 2; ++j) {
      store_i8(out.q + 16 * j, q[j]);
      sums[j] = sum(q[j]);
      out.start[j] = -128 * sums[j];
    }
    out.total = out.d * static_cast<float>(sums[0] + sums[1]);
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
