#include "gated_matmul.h"
#include "matmul/strip.h"
#include "silu_mul/lanes.h"

namespace cutaway::CUTAWAY_TARGET {

void gated_matmul(const GatedMatmul& a, int64_t begin, int64_t end, std::byte* scratch) {
  const Matmul &g = a.gate, &u = a.up;
  const Units units(g.T, g.N, 1);
  Units::Unit unit = units.at(begin);
  Strip open[2];  // gate and up
  for (int64_t i = begin; i < end; ++i, units.next(unit)) {
    const int64_t s = unit.group, first = s * kStripRows;
    if (i == begin || unit.slice == 0) {
      open_strips(*g.format, g.w, s, 1, g.K, g.T, g.blocks, scratch, open);
      open_strips(*u.format, u.w, s, 1, u.K, u.T, u.blocks, scratch + g.scratch_bytes(), open + 1);
    }
    const int64_t last = units.last_token(unit);
    for (int64_t t = units.first_token(unit); t < last; t += kTile) {
      const Rows x = rows_from(g.x, g.blocks, t, last, g.K);
      alignas(64) Lanes out[2][kTile];
      multiply(open, 2, x.x, x.n, out);
      for (int r = 0; r < x.n; ++r)
        store_rows(a.y + (t + r) * g.N + first, silu_mul(load(out[0][r]), load(out[1][r])), g.N - first);
    }
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
