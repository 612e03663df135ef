// q5_k: 256 elements in 176 bytes; value = (d * sc[j]) * code - dmin * mn[j], j = element / 32.
// (ggml-common.h, block_q5_K)
//
//   byte  0    2      4              16              48                      176
//         | d  | dmin | scales: 12   | qh: 32 bytes  | qs: 4 x 32 bytes        |
//         qs[32 g + l] = low four bits of element 64 g + l in the low nibble, of element 64 g + 32 + l in the high one
//         qh[l] bit j = fifth bit of element 32 j + l
//         scales = sc and mn, six bits each: k_scales.h; d and dmin are float16
#pragma once

#include "formats/format.h"

namespace cutaway {

struct [[gnu::packed]] BlockQ5_K {
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

static constexpr Packing packing_q5_k{.scales = Scales::bytes, .bits = 5, .group = 32, .minimums = true};
extern const Format format_q5_k;

}  // namespace cutaway
