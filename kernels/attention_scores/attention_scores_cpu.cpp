#include "attention_scores.h"
#include "row_attention.h"

namespace cutaway::CUTAWAY_TARGET {

template <class Element>
static void attention_scores_of(const AttentionScores& a, int64_t begin, int64_t end, float* scratch) {
  const auto [data, half, S, G, E] = a.keys;
  const Tiles tiles = a.tiles();
  Queries queries;
  while (begin < end) {
    begin = take(tiles, begin, end, S - a.T, a.window, queries);
    float* row[Tiles::kQueries];
    for (int r = 0; r < queries.n; ++r) row[r] = a.scores + queries.row[r] * S;
    const auto* keys = static_cast<const Element*>(data);
    Ahead ahead(queries, keys, static_cast<const Element*>(nullptr), G * E, E);
    score(queries, a.q, E, keys, G * E, a.scale, row, scratch, ahead);
    for (int r = 0; r < queries.n; ++r) {
      const int64_t seen = queries.position[r];
      std::fill(row[r], row[r] + first_seen(seen, a.window), -__builtin_inff());
      std::fill(row[r] + seen + 1, row[r] + S, -__builtin_inff());
    }
  }
}

void attention_scores(const AttentionScores& a, int64_t begin, int64_t end, std::byte* scratch) {
  if (a.keys.half) attention_scores_of<uint16_t>(a, begin, end, reinterpret_cast<float*>(scratch));
  else attention_scores_of<float>(a, begin, end, reinterpret_cast<float*>(scratch));
}

}  // namespace cutaway::CUTAWAY_TARGET
