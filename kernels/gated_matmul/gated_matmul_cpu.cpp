#include "gated_matmul.h"
#include "matmul/strip.h"
#include "silu_mul/lanes.h"

namespace cutaway::CUTAWAY_TARGET {

void gated_matmul(const GatedMatmul& a, int64_t begin, int64_t end, std::byte* scratch) {
  const Matmul &g = a.gate, &u = a.up;
  const Units units(g.T, g.N, kStrips);
  Units::Unit unit = units.at(begin);
  Strip open[kStrips][2];  // gate and up
  for (int64_t i = begin; i < end; ++i, units.next(unit)) {
    const int64_t s = unit.group * kStrips, count = std::min<int64_t>(kStrips, strips(g.N) - s);
    if (i == begin || unit.slice == 0) {
      Strip gate[kStrips], up[kStrips];
      open_strips(*g.format, g.w, s, count, g.K, g.T, g.blocks, scratch, gate);
      open_strips(*u.format, u.w, s, count, u.K, u.T, u.blocks, scratch + a.opened_bytes(g), up);
      for (int64_t j = 0; j < count; ++j) open[j][0] = gate[j], open[j][1] = up[j];
    }
    const int64_t last = units.last_token(unit);
    for (int64_t t = units.first_token(unit); t < last; t += kTile) {
      const Rows x = rows_from(g.x, g.blocks, t, last, g.K);
      for (int64_t j = 0, row = s * kStripRows; j < count; ++j, row += kStripRows) {
        alignas(64) Lanes out[2][kTile];
        multiply(open[j], 2, x.x, x.n, out);
        for (int r = 0; r < x.n; ++r)
          store_rows(a.y + (t + r) * g.N + row, silu_mul(load(out[0][r]), load(out[1][r])), g.N - row);
      }
    }
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
