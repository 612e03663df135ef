// Unpacks a row of any blocked format through its Codes: the definition in one place.
// Block structs are [[gnu::packed]]: a row may start at any byte, and sizes are those of the file.
#pragma once

#include "formats/format.h"

namespace cutaway {

template <const Format& F>
void unpack_row_of_codes(const void* row, float* out, int64_t n) {
  Codes codes;
  const auto* block = static_cast<const uint8_t*>(row);
  for (int64_t i = 0; i < n; i += F.block, block += F.block_bytes) {
    F.unpack_codes(block, &codes);
    for (int j = 0; j < F.block; ++j) {
      int integer = F.table ? F.table[codes.code[j]] : codes.code[j] - F.offset;
      float product = codes.scale[j / F.group] * static_cast<float>(integer);
      out[i + j] = F.minimums ? product + codes.minimum[j / F.group] : product;
    }
  }
}

}  // namespace cutaway
