// iq4_nl: 32 elements in 18 bytes; value = d * table[code].  (ggml-common.h, block_iq4_nl)
//
//   byte  0    2                                18
//         | d  | qs: 16 bytes                    |
//         qs[j] = element j in the low nibble, element j + 16 in the high one; d is float16; table: iq4_table.h
#pragma once

#include "formats/format.h"

namespace cutaway {

struct [[gnu::packed]] BlockIq4Nl {
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockIq4Nl) == 18);

static constexpr Packing packing_iq4_nl{.scales = Scales::f16, .bits = 4, .group = 32, .table = 8};
extern const Format format_iq4_nl;

}  // namespace cutaway
