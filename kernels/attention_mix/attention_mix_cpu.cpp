#include "attention_mix.h"
#include "row_attention.h"

namespace cutaway::CUTAWAY_TARGET {

template <class Element>
static void attention_mix_of(const AttentionMix& a, int64_t begin, int64_t end) {
  const auto [data, half, S, G, E] = a.values;
  for (int64_t unit = begin; unit < end; ++unit) {
    const Element* values = static_cast<const Element*>(data) + unit % a.H / (a.H / G) * E;
    mix_row(a.pattern + unit * S, values, G * E, E, 0, S, a.z + unit * E);
  }
}

void attention_mix(const AttentionMix& a, int64_t begin, int64_t end, std::byte*) {
  if (a.values.half) attention_mix_of<uint16_t>(a, begin, end);
  else attention_mix_of<float>(a, begin, end);
}

}  // namespace cutaway::CUTAWAY_TARGET
