#include "attention.h"
#include "row_attention.h"
#include "row_softmax.h"

namespace cutaway::CUTAWAY_TARGET {

template <class Element>
static void attention_of(const Attention& a, int64_t begin, int64_t end, float* scratch) {
  const auto [data, half, S, G, E] = a.keys;
  const Tiles tiles = a.tiles();
  const int64_t stride = G * E, row_floats = a.row_floats();
  Queries queries;
  while (begin < end) {
    // Positions count from `base`, a multiple of every block that sums are made of.
    const int64_t p = S - a.T, base = first_seen(p + tiles.at(begin, end).t, a.window) / 512 * 512;
    begin = take(tiles, begin, end, p - base, a.window, queries);
    float* row[Tiles::kQueries];
    for (int r = 0; r < queries.n; ++r) row[r] = scratch + r * row_floats;
    const auto *keys = static_cast<const Element*>(data) + base * stride,
               *values = static_cast<const Element*>(a.values.data) + base * stride;
    Ahead ahead(queries, keys, values, stride, E);
    score(queries, a.q, E, keys, stride, a.scale, row, scratch + tiles.queries * row_floats, ahead);
    for (const Group& g : queries.all())
      for (int r = g.begin; r < g.begin + g.n; ++r) {
        const int64_t last = queries.position[r] + 1, first = first_seen(last - 1, a.window), whole = first / 16 * 16;
        std::fill(row[r] + whole, row[r] + first, -__builtin_inff());
        row_softmax(row[r], row[r], whole, last, a.sinks ? a.sinks[queries.row[r] % a.H] : -__builtin_inff());
        if (g.first < whole) std::fill(row[r] + g.first, row[r] + whole, 0.0f);
        std::fill(row[r] + last, row[r] + g.last, 0.0f);
      }
    ahead.turn_to_values();
    mix(queries, row, values, stride, E, a.z, ahead);
  }
}

void attention(const Attention& a, int64_t begin, int64_t end, std::byte* scratch) {
  if (a.keys.half) attention_of<uint16_t>(a, begin, end, reinterpret_cast<float*>(scratch));
  else attention_of<float>(a, begin, end, reinterpret_cast<float*>(scratch));
}

}  // namespace cutaway::CUTAWAY_TARGET
