#include "gated_matmul.h"
#include "matmul/strip.h"
#include "silu_mul/lanes.h"

namespace cutaway::CUTAWAY_TARGET {

void gated_matmul(const GatedMatmul& a, int64_t begin, int64_t end, std::byte* scratch) {
  const Matmul &g = a.gate, &u = a.up;
  const int64_t pieces = g.pieces();
  Strip gate{}, up{};
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t s = unit / pieces, p = unit % pieces;
    if (unit == begin || p == 0) {
      gate = open_strip(g.format, g.w, s, g.K, g.T, g.blocks, scratch);
      up = open_strip(u.format, u.w, s, u.K, u.T, u.blocks, scratch + g.scratch_bytes());
    }
    const int64_t first = s * kStripRows;
    const int rows = static_cast<int>(g.N - first < kStripRows ? g.N - first : kStripRows);
    const int64_t last = g.piece(p + 1);
    for (int64_t t = g.piece(p); t < last; t += kTile) {
      const Rows x = rows_from(g.x, g.blocks, t, last, g.K);
      alignas(64) float pre[kTile][kStripRows], linear[kTile][kStripRows];
      multiply(gate, x.x, x.n, pre);
      multiply(up, x.x, x.n, linear);
      for (int i = 0; i < x.n; ++i)
        store_rows(a.y + (t + i) * g.N + first, silu_mul(load(pre[i]), load(linear[i])), rows);
    }
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
