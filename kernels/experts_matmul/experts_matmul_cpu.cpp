#include "experts_matmul.h"
#include "matmul/strip.h"

namespace cutaway::CUTAWAY_TARGET {
namespace {

// The choices, as indices into [T, A], sorted by expert: those of expert e are order[first[e]] to order[first[e + 1]].
struct Chosen {
  int32_t *first, *order;  // [X + 1], [T A]
};

Chosen sort_by_expert(const ExpertsMatmul& a, int32_t* memory) {
  const Chosen chosen{memory, memory + a.X + 1};
  for (int64_t e = 0; e <= a.X; ++e) chosen.first[e] = 0;
  for (int64_t i = 0; i < a.T * a.A; ++i) ++chosen.first[a.indices[i]];
  for (int64_t e = 1; e <= a.X; ++e) chosen.first[e] += chosen.first[e - 1];
  for (int64_t i = a.T * a.A - 1; i >= 0; --i) chosen.order[--chosen.first[a.indices[i]]] = static_cast<int32_t>(i);
  return chosen;
}

// One expert's strips from s on for the rows that chose it.
void some_strips(const ExpertsMatmul& a, int64_t expert, int64_t s, const int32_t* chosen, int count,
                 std::byte* scratch) {
  const int64_t first = s * kStripRows, rows = std::min(a.N - first, a.abreast() * kStripRows), abreast = strips(rows);
  const int64_t row_bytes = a.blocks ? a.K / 32 * int64_t{sizeof(BlockQ8)} : a.K * 4;
  Strip open[kStrips];
  open_strips(*a.format, a.w, expert * strips(a.N) + s, abreast, a.K, count, a.blocks, scratch, open);
  const auto* x = a.blocks ? reinterpret_cast<const std::byte*>(a.blocks) : reinterpret_cast<const std::byte*>(a.x);
  for (int from = 0; from < count; from += kTile) {
    const int n = count - from < kTile ? count - from : kTile;
    const void* of[kTile];
    for (int i = 0; i < n; ++i) {
      const int64_t choice = chosen[from + i];
      of[i] = x + (a.own_rows ? choice : choice / a.A) * row_bytes;
    }
    alignas(64) Lanes out[kStrips][kTile];
    multiply(open, static_cast<int>(abreast), of, n, out);
    for (int i = 0; i < n; ++i)
      for (int64_t j = 0; j < abreast; ++j) {
        const int64_t row = first + j * kStripRows;
        const f32x16 y = load(out[j][i]);
        store_rows(a.y + chosen[from + i] * a.N + row,
                   a.bias ? y + load_rows(a.bias + expert * a.N + row, a.N - row) : y, a.N - row);
      }
  }
}

}  // namespace

// Units are counted through the experts first, so that any run of units has its share of every expert's work, however
// few of them are chosen. A run is worked off expert by expert: its strips lie one after the other.
void experts_matmul(const ExpertsMatmul& a, int64_t begin, int64_t end, std::byte* scratch) {
  const Chosen chosen = sort_by_expert(a, reinterpret_cast<int32_t*>(scratch));
  for (int64_t expert = 0; expert < a.X; ++expert) {
    const int64_t from = chosen.first[expert], count = chosen.first[expert + 1] - from;
    if (!count) continue;
    const int64_t last = (end - expert + a.X - 1) / a.X;
    for (int64_t i = (std::max<int64_t>(begin - expert, 0) + a.X - 1) / a.X; i < last; ++i)
      some_strips(a, expert, i * a.abreast(), chosen.order + from, static_cast<int>(count), scratch + a.sorted_bytes());
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
