// q6_k: 256 elements in 210 bytes; value = (d * scales[i]) * (code - 32), i = element / 16.
// (ggml-common.h, block_q6_K)
//
//   byte  0                     128             192                208  210
//         | ql: 2 x 64 bytes     | qh: 2 x 32     | scales: 16 signed | d  |
//         element 128 n + 32 t + l, t = 0..3, has its
//           low four bits in ql[64 n + 32 (t % 2) + l], low nibble for t = 0, 1 and high nibble for t = 2, 3
//           high two bits in qh[32 n + l], bits 2 t and 2 t + 1
//         d is float16
#pragma once

#include "formats/format.h"

namespace cutaway {

struct [[gnu::packed]] BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == 210);

static constexpr Packing packing_q6_k{.scales = Scales::bytes, .bits = 6, .group = 16, .offset = 32};
extern const Format format_q6_k;

}  // namespace cutaway
