// q3_k: 256 elements in 110 bytes; value = (d * sc[i]) * (code - 4), i = element / 16.
// (ggml-common.h, block_q3_K)
//
//   byte  0               32                     96             108  110
//         | hmask: 32      | qs: 2 x 32 bytes      | scales: 12   | d  |
//         element 128 n + 32 t + l, t = 0..3, has its
//           low two bits in qs[32 n + l], bits 2 t and 2 t + 1
//           third bit in hmask[l], bit 4 n + t
//         sc[i] + 32 = low four bits in scales[i % 8], low nibble for i < 8, else high;
//                      high two bits in scales[8 + i % 4], bits 2 (i / 4) and up; d is float16
#pragma once

#include "formats/format.h"

namespace cutaway {

struct [[gnu::packed]] BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;
};
static_assert(sizeof(BlockQ3_K) == 110);

static constexpr Packing packing_q3_k{.scales = Scales::bytes, .bits = 3, .group = 16, .offset = 4};
extern const Format format_q3_k;

}  // namespace cutaway
