// The 12 bytes of q4_k and q5_k that hold eight scales and eight minimums of six bits each.
//
//   j = 0..3   scale = s[j] bits 0-5                           minimum = s[j + 4] bits 0-5
//   j = 4..7   scale = s[j + 4] bits 0-3, s[j - 4] bits 6-7    minimum = s[j + 4] bits 4-7, s[j] bits 6-7
#pragma once

#include "formats/format.h"

namespace cutaway {

inline void unpack_k_scales(uint16_t d, uint16_t dmin, const uint8_t* s, Codes* out) {
  out->d = d;
  out->m = dmin;
  for (int j = 0; j < 8; ++j) {
    int sc = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
    int mn = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4;
    out->scale[j] = static_cast<int8_t>(sc);
    out->minimum[j] = static_cast<uint8_t>(mn);
  }
}

}  // namespace cutaway
