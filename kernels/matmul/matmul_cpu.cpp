#include "matmul.h"
#include "strip.h"

namespace cutaway::CUTAWAY_TARGET {
namespace {

// Rows of the output from token `t` on, for one strip.
template <int TOKENS>
void tile(const Matmul& a, const Strip& strip, int64_t s, int64_t t) {
  f32x16 acc[TOKENS];
  multiply_strip<TOKENS>(strip, a.x ? a.x + t * a.K : nullptr, a.blocks ? a.blocks + t * (a.K / 32) : nullptr, a.K,
                         acc);
  const int64_t first = s * kStripRows, rows = a.N - first;
  for (int i = 0; i < TOKENS; ++i) {
    float* y = a.y + (t + i) * a.N + first;
    if (rows >= kStripRows) store(y, a.bias ? acc[i] + load(a.bias + first) : acc[i]);
    else
      store_first(y, a.bias ? acc[i] + load_first(a.bias + first, static_cast<int>(rows)) : acc[i],
                  static_cast<int>(rows));
  }
}

}  // namespace

void matmul(const Matmul& a, int64_t begin, int64_t end, std::byte* scratch) {
  const size_t bytes = strip_bytes(a.format, a.K);
  for (int64_t s = begin; s < end; ++s) {
    Strip strip{a.format, reinterpret_cast<const uint8_t*>(a.w) + static_cast<size_t>(s) * bytes, nullptr};
    if (scratch) {
      unpack_strip(a.format, strip.data, a.K, reinterpret_cast<float*>(scratch));
      strip.unpacked = reinterpret_cast<const float*>(scratch);
    }
    int64_t t = 0;
    for (; t + kTile <= a.T; t += kTile) tile<kTile>(a, strip, s, t);
    for (; t + 2 <= a.T; t += 2) tile<2>(a, strip, s, t);
    if (t < a.T) tile<1>(a, strip, s, t);
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
