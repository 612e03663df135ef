#include "attention.h"
#include "row_attention.h"
#include "row_softmax.h"

namespace cutaway::CUTAWAY_TARGET {

template <class Element>
static void attention_of(const Attention& a, int64_t begin, int64_t end, float* row) {
  const int64_t S = a.keys.S, G = a.keys.G, E = a.keys.E;
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t t = token_of_unit(unit / a.H, a.T), h = unit % a.H, p = S - a.T + t;
    const int64_t first = first_seen(p, a.window), kv = h / (a.H / G) * E;
    score_row(a.q + (t * a.H + h) * E, static_cast<const Element*>(a.keys.data) + kv, G * E, E, first, p + 1, a.scale,
              row);
    row_softmax(row, row, first / 16 * 16, p + 1, a.sinks ? a.sinks[h] : -__builtin_inff());
    mix_row(row, static_cast<const Element*>(a.values.data) + kv, G * E, E, first, p + 1, a.z + (t * a.H + h) * E);
  }
}

void attention(const Attention& a, int64_t begin, int64_t end, std::byte* scratch) {
  float* row = reinterpret_cast<float*>(scratch);
  if (a.keys.half) attention_of<uint16_t>(a, begin, end, row);
  else attention_of<float>(a, begin, end, row);
}

}  // namespace cutaway::CUTAWAY_TARGET
