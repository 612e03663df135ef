#include "matmul.h"
#include "strip.h"

namespace cutaway::CUTAWAY_TARGET {

void matmul(const Matmul& a, int64_t begin, int64_t end, std::byte* scratch) {
  const int64_t pieces = a.pieces();
  Strip strip{};
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t s = unit / pieces, p = unit % pieces;
    if (unit == begin || p == 0) strip = open_strip(a.format, a.w, s, a.K, a.T, a.blocks, scratch);
    const int64_t first = s * kStripRows;
    const int rows = static_cast<int>(a.N - first < kStripRows ? a.N - first : kStripRows);
    const f32x16 bias = a.bias ? load_first(a.bias + first, rows) : broadcast(0.0f);
    const int64_t last = a.piece(p + 1);
    for (int64_t t = a.piece(p); t < last; t += kTile) {
      const Rows x = rows_from(a.x, a.blocks, t, last, a.K);
      alignas(64) float out[kTile][kStripRows];
      multiply(strip, x.x, x.n, out);
      for (int i = 0; i < x.n; ++i) {
        const f32x16 y = a.bias ? load(out[i]) + bias : load(out[i]);
        store_rows(a.y + (t + i) * a.N + first, y, rows);
      }
    }
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
