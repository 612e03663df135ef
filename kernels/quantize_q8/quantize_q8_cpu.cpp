#include "quantize_q8.h"
#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

void quantize_q8(const QuantizeQ8& a, int64_t begin, int64_t end, std::byte*) {
  const int64_t blocks = a.K / 32;
  for (int64_t i = begin * blocks; i < end * blocks; ++i) {
    f32x16 low = load(a.x + i * 32), high = load(a.x + i * 32 + 16);
    BlockQ8& out = a.y[i];
    float most = largest(max(abs(low), abs(high)));
    bool finite = sum((low - low) + (high - high)) == 0.0f && most < HUGE_VALF;  // infinity - infinity is NaN
    float d = most / 127.0f;
    bool normal = finite && d >= 0x1p-126f;
    out.d = normal ? d : finite ? 0.0f : NAN;
    f32x16 inverse = broadcast(normal ? 1.0f / d : 0.0f);
    if (!finite) low = high = broadcast(0.0f);
    alignas(64) int32_t q[32];
    store(reinterpret_cast<float*>(q), bits_as_f32(round_to_i32(low * inverse)));
    store(reinterpret_cast<float*>(q + 16), bits_as_f32(round_to_i32(high * inverse)));
    int32_t sum[2] = {};
    for (int j = 0; j < 32; ++j) {
      out.q[j] = static_cast<int8_t>(q[j]);
      sum[j / 16] += q[j];
    }
    out.start[0] = -128 * sum[0];
    out.start[1] = -128 * sum[1];
    out.total = out.d * static_cast<float>(sum[0] + sum[1]);
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
