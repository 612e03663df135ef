#include "gated_matmul.h"
#include "matmul/strip.h"
#include "silu_mul/lanes.h"

namespace cutaway::CUTAWAY_TARGET {
namespace {

template <int TOKENS>
void tile(const GatedMatmul& a, const Strip& gate, const Strip& up, int64_t s, int64_t t) {
  const Matmul& m = a.gate;
  const float* x = m.x ? m.x + t * m.K : nullptr;
  const BlockQ8* blocks = m.blocks ? m.blocks + t * (m.K / 32) : nullptr;
  f32x16 pre[TOKENS], linear[TOKENS];
  multiply_strip<TOKENS>(gate, x, blocks, m.K, pre);
  multiply_strip<TOKENS>(up, x, blocks, m.K, linear);
  const int64_t first = s * kStripRows, rows = m.N - first;
  for (int i = 0; i < TOKENS; ++i) {
    f32x16 y = silu_mul(pre[i], linear[i]);
    if (rows >= kStripRows) store(a.y + (t + i) * m.N + first, y);
    else store_first(a.y + (t + i) * m.N + first, y, static_cast<int>(rows));
  }
}

Strip strip_of(const Matmul& m, int64_t s, float* unpacked) {
  Strip strip{m.format, reinterpret_cast<const uint8_t*>(m.w) + static_cast<size_t>(s) * strip_bytes(m.format, m.K),
              nullptr};
  if (m.scratch_bytes()) {
    unpack_strip(m.format, strip.data, m.K, unpacked);
    strip.unpacked = unpacked;
  }
  return strip;
}

}  // namespace

void gated_matmul(const GatedMatmul& a, int64_t begin, int64_t end, std::byte* scratch) {
  for (int64_t s = begin; s < end; ++s) {
    Strip gate = strip_of(a.gate, s, reinterpret_cast<float*>(scratch));
    Strip up = strip_of(a.up, s, reinterpret_cast<float*>(scratch + a.gate.scratch_bytes()));
    int64_t t = 0;
    for (; t + kTile <= a.gate.T; t += kTile) tile<kTile>(a, gate, up, s, t);
    for (; t + 2 <= a.gate.T; t += 2) tile<2>(a, gate, up, s, t);
    if (t < a.gate.T) tile<1>(a, gate, up, s, t);
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
