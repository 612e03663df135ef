#include "attention_mix.h"
#include "row_attention.h"

namespace cutaway::CUTAWAY_TARGET {

template <class Element>
static void attention_mix_of(const AttentionMix& a, int64_t begin, int64_t end) {
  const auto [data, half, S, G, E] = a.values;
  const Tiles tiles = a.tiles();
  Queries queries;
  while (begin < end) {
    begin = take(tiles, begin, end, 0, 0, queries);
    for (Group& g : queries.all()) g.first = 0, g.last = S;  // the pattern says who sees what
    const float* row[Tiles::kQueries];
    for (int r = 0; r < queries.n; ++r) row[r] = a.pattern + queries.row[r] * S;
    const auto* values = static_cast<const Element*>(data);
    Ahead ahead(queries, values, static_cast<const Element*>(nullptr), G * E, E);
    mix(queries, row, values, G * E, E, a.z, ahead);
  }
}

void attention_mix(const AttentionMix& a, int64_t begin, int64_t end, std::byte*) {
  if (a.values.half) attention_mix_of<uint16_t>(a, begin, end);
  else attention_mix_of<float>(a, begin, end);
}

}  // namespace cutaway::CUTAWAY_TARGET
