#include "matmul.h"
#include "strip.h"

namespace cutaway::CUTAWAY_TARGET {

void matmul(const Matmul& a, int64_t begin, int64_t end, std::byte* scratch) {
  const Units units(a.T, a.N, a.abreast());
  Units::Unit unit = units.at(begin);
  Strip open[kStrips];
  for (int64_t i = begin; i < end; ++i, units.next(unit)) {
    const int64_t s = unit.group * a.abreast(), first = s * kStripRows;
    const int64_t rows = std::min(a.N - first, a.abreast() * kStripRows), count = strips(rows);
    if (i == begin || unit.slice == 0) open_strips(*a.format, a.w, s, count, a.K, a.T, a.blocks, scratch, open);
    const int64_t last = units.last_token(unit);
    for (int64_t t = units.first_token(unit); t < last; t += kTile) {
      const Rows x = rows_from(a.x, a.blocks, t, last, a.K);
      alignas(64) Lanes out[kStrips][kTile];
      expect_rows(a.y + t * a.N + first, a.N, x.n);
      multiply(open, static_cast<int>(count), x.x, x.n, out);
      for (int r = 0; r < x.n; ++r)
        for (int64_t j = 0; j < count; ++j) {
          const int64_t row = first + j * kStripRows;
          const f32x16 y = load(out[j][r]);
          store_rows(a.y + (t + r) * a.N + row, a.bias ? y + load_rows(a.bias + row, a.N - row) : y, a.N - row);
        }
    }
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
