// q2_k: 256 elements in 84 bytes; value = (d * sc[i]) * code - dmin * mn[i], i = element / 16.
// (ggml-common.h, block_q2_K)
//
//   byte  0             16                          80   82     84
//         | scales: 16   | qs: 2 x 32 bytes           | d  | dmin |
//         qs[32 n + l] = elements 128 n + l, + 32, + 64 and + 96, two bits each from the lowest
//         scales[i] = sc in the low nibble, mn in the high one; d and dmin are float16
#pragma once

#include "formats/format.h"

namespace cutaway {

struct [[gnu::packed]] BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d, dmin;
};
static_assert(sizeof(BlockQ2_K) == 84);

static constexpr Packing packing_q2_k{.scales = Scales::nibbles, .bits = 2, .group = 16, .minimums = true};
extern const Format format_q2_k;

}  // namespace cutaway
