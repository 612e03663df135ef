// q5_0: 32 elements in 22 bytes; value = (code - 16) * d.  (ggml-common.h, block_q5_0)
//
//   byte  0    2          6                     22
//         | d  | qh       | qs: 16 bytes         |
//         qs[j] = low four bits of element j in the low nibble, of element j + 16 in the high one
//         qh = 32 bits, little-endian: bit j is the fifth bit of element j; d is float16
#pragma once

#include "formats/format.h"

namespace cutaway {

struct [[gnu::packed]] BlockQ5_0 {
  uint16_t d;
  uint32_t qh;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

static constexpr Packing packing_q5_0{.scales = Scales::f16, .bits = 5, .group = 32, .offset = 16};
extern const Format format_q5_0;

}  // namespace cutaway
