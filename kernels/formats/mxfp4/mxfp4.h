// mxfp4: 32 elements in 17 bytes; value = table[code] * 2^(e - 128).
// (OCP Microscaling Formats v1.0, sec. 5.3 and 5.4; ggml-common.h, block_mxfp4)
//
//   byte  0   1                                17
//         | e | qs: 16 bytes                    |
//         qs[j] = element j in the low nibble, element j + 16 in the high one
//
// A code is E2M1: 0 .5 1 1.5 2 3 4 6 and their negatives. The table holds their doubles, so that they are integers, and
// the scale, E8M0 for 2^(e - 127), is halved to match. Code 8 is -0 in E2M1 and +0 here.
//
// e = 255 is NaN in the specification; ggml and gguf read it as 2^128, and so does this. Elements of 4 and 6 overflow
// to infinity for e = 253, those of 2 and more for e = 254. For e = 0 and 1 the halved scale is subnormal.
#pragma once

#include "formats/format.h"

namespace cutaway {

struct [[gnu::packed]] BlockMxfp4 {
  uint8_t e;
  uint8_t qs[16];
};
static_assert(sizeof(BlockMxfp4) == 17);

static constexpr Packing packing_mxfp4{.scales = Scales::e8m0, .bits = 4, .group = 32, .table = 5};
extern const Format format_mxfp4;

}  // namespace cutaway
