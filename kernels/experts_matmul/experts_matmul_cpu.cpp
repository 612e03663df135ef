#include "experts_matmul.h"
#include "matmul/strip.h"

namespace cutaway::CUTAWAY_TARGET {

// A unit is one strip of one expert: it is read once, for all the rows that chose the expert.
void experts_matmul(const ExpertsMatmul& a, int64_t begin, int64_t end, std::byte* scratch) {
  const int64_t each = strips(a.N);
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t expert = unit / each, first = unit % each * kStripRows;
    const int rows = static_cast<int>(a.N - first < kStripRows ? a.N - first : kStripRows);
    Strip strip{a.format,
                reinterpret_cast<const uint8_t*>(a.w) + static_cast<size_t>(unit) * strip_bytes(a.format, a.K),
                nullptr};
    for (int64_t i = 0; i < a.T * a.A; ++i) {
      if (a.indices[i] != expert) continue;
      if (a.x && has_codes(a.format) && !strip.unpacked) {
        unpack_strip(a.format, strip.data, a.K, reinterpret_cast<float*>(scratch));
        strip.unpacked = reinterpret_cast<float*>(scratch);
      }
      const int64_t row = a.own_rows ? i : i / a.A;
      f32x16 acc[1];
      multiply_strip<1>(strip, a.x ? a.x + row * a.K : nullptr, a.blocks ? a.blocks + row * (a.K / 32) : nullptr, a.K,
                        acc);
      float* y = a.y + i * a.N + first;
      const float* bias = a.bias ? a.bias + expert * a.N + first : nullptr;
      if (rows == kStripRows) store(y, bias ? acc[0] + load(bias) : acc[0]);
      else store_first(y, bias ? acc[0] + load_first(bias, rows) : acc[0], rows);
    }
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
