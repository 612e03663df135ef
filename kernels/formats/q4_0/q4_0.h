// q4_0: 32 elements in 18 bytes; value = (code - 8) * d.  (ggml-common.h, block_q4_0)
//
//   byte  0    2                                18
//         | d  | qs: 16 bytes                    |
//         qs[j] = element j in the low nibble, element j + 16 in the high one; d is float16
#pragma once

#include "formats/format.h"

namespace cutaway {

struct [[gnu::packed]] BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

static constexpr Packing packing_q4_0{.scales = Scales::f16, .bits = 4, .group = 32, .offset = 8};
extern const Format format_q4_0;

}  // namespace cutaway
