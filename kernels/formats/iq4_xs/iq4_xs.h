// iq4_xs: 256 elements in 136 bytes; value = (d * (ls[j] - 32)) * table[code], j = element / 32.
// (ggml-common.h, block_iq4_xs)
//
//   byte  0    2          4           8                                     136
//         | d  | scales_h | scales_l  | qs: 8 x 16 bytes                      |
//         qs[16 j + l] = element 32 j + l in the low nibble, element 32 j + 16 + l in the high one
//         ls[j] = low four bits in nibble j % 2 of scales_l[j / 2], high two bits in scales_h, bits 2 j and 2 j + 1
//         d is float16; table: iq4_table.h
#pragma once

#include "formats/format.h"

namespace cutaway {

struct [[gnu::packed]] BlockIq4Xs {
  uint16_t d, scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};
static_assert(sizeof(BlockIq4Xs) == 136);

static constexpr Packing packing_iq4_xs{.scales = Scales::bytes, .bits = 4, .group = 32, .table = 8};
extern const Format format_iq4_xs;

}  // namespace cutaway
