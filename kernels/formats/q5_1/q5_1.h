// q5_1: 32 elements in 24 bytes; value = code * d + m.  (ggml-common.h, block_q5_1)
//
//   byte  0    2    4          8                24
//         | d  | m  | qh       | qs: 16 bytes    |
//         qs[j] = low four bits of element j in the low nibble, of element j + 16 in the high one
//         qh = 32 bits, little-endian: bit j is the fifth bit of element j; d and m are float16
#pragma once

#include "formats/format.h"

namespace cutaway {

struct [[gnu::packed]] BlockQ5_1 {
  uint16_t d, m;
  uint32_t qh;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

static constexpr Packing packing_q5_1{.scales = Scales::f16, .bits = 5, .group = 32, .minimums = true};
extern const Format format_q5_1;

}  // namespace cutaway
