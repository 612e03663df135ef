// q4_k: 256 elements in 144 bytes; value = (d * sc[j]) * code - dmin * mn[j], j = element / 32.
// (ggml-common.h, block_q4_K)
//
//   byte  0    2      4              16                                      144
//         | d  | dmin | scales: 12   | qs: 4 x 32 bytes                        |
//         qs[32 g + l] = element 64 g + l in the low nibble, element 64 g + 32 + l in the high one
//         scales = sc and mn, six bits each: k_scales.h; d and dmin are float16
#pragma once

#include "formats/format.h"

namespace cutaway {

struct [[gnu::packed]] BlockQ4_K {
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

static constexpr Packing packing_q4_k{.scales = Scales::bytes, .bits = 4, .group = 32, .minimums = true};
extern const Format format_q4_k;

}  // namespace cutaway
