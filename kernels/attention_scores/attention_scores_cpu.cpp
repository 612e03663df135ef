#include "attention_scores.h"
#include "row_attention.h"

namespace cutaway::CUTAWAY_TARGET {

template <class Element>
static void attention_scores_of(const AttentionScores& a, int64_t begin, int64_t end) {
  const auto [data, half, S, G, E] = a.keys;
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t t = token_of_unit(unit / a.H, a.T), h = unit % a.H, p = S - a.T + t;
    float* out = a.scores + (t * a.H + h) * S;
    std::fill(out, out + S, -__builtin_inff());
    const Element* keys = static_cast<const Element*>(data) + h / (a.H / G) * E;
    score_row(a.q + (t * a.H + h) * E, keys, G * E, E, first_seen(p, a.window), p + 1, a.scale, out);
  }
}

void attention_scores(const AttentionScores& a, int64_t begin, int64_t end, std::byte*) {
  if (a.keys.half) attention_scores_of<uint16_t>(a, begin, end);
  else attention_scores_of<float>(a, begin, end);
}

}  // namespace cutaway::CUTAWAY_TARGET
