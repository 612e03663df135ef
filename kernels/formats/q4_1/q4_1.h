// q4_1: 32 elements in 20 bytes; value = code * d + m.  (ggml-common.h, block_q4_1)
//
//   byte  0    2    4                                20
//         | d  | m  | qs: 16 bytes                    |
//         qs[j] = element j in the low nibble, element j + 16 in the high one; d and m are float16
#pragma once

#include "formats/format.h"

namespace cutaway {

struct [[gnu::packed]] BlockQ4_1 {
  uint16_t d, m;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

static constexpr Packing packing_q4_1{.scales = Scales::f16, .bits = 4, .group = 32, .minimums = true};
extern const Format format_q4_1;

}  // namespace cutaway
