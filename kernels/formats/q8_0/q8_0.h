// q8_0: 32 elements in 34 bytes; value = q * d.  (ggml-common.h, block_q8_0)
//
//   byte  0    2                                34
//         | d  | qs: 32 signed bytes             |
//         qs[j] = element j; d is float16. The Codes are q + 128, in 0..255.
#pragma once

#include "formats/format.h"

namespace cutaway {

struct [[gnu::packed]] BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

static constexpr Packing packing_q8_0{.scales = Scales::f16, .bits = 8, .group = 32, .offset = 128};
extern const Format format_q8_0;

}  // namespace cutaway
