// Codes to float32: the definition of every blocked format's values, in one place.
// Block structs are [[gnu::packed]]: a row may start at any byte, and sizes are those of the file.
#pragma once

#include "formats/f16_value.h"
#include "formats/format.h"

namespace cutaway {

// 2^(e - 128): 2^-128 and 2^-127, for e = 0 and 1, are subnormal float32.
inline float half_of_e8m0(uint16_t e) {
  uint32_t bits = e < 2 ? 0x00200000u << e : (e - 1u) << 23;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// The first n elements of a block.
inline void codes_to_floats(const Format& f, const Codes& codes, float* out, int n) {
  const Packing p = f.packing;
  const float d = p.scales == Scales::e8m0 ? half_of_e8m0(codes.d) : f16_value(codes.d);
  const float m = p.minimums ? f16_value(codes.m) : 0.0f;
  const bool once = p.scales == Scales::f16 || p.scales == Scales::e8m0;
  for (int j = 0; j < n; ++j) {
    const int g = j / p.group, code = codes.code[j];
    const float scale = once ? d : d * static_cast<float>(codes.scale[g]);
    const float product = scale * static_cast<float>(p.table ? f.table[code] : code - p.offset);
    out[j] = !p.minimums ? product : product + (once ? m : -(m * static_cast<float>(codes.minimum[g])));
  }
}

template <const Format& F>
void unpack_row_of_codes(const void* row, float* out, int64_t n) {
  Codes codes;
  const auto* block = static_cast<const uint8_t*>(row);
  for (int64_t i = 0; i < n; i += F.block, block += F.block_bytes) {
    F.unpack_codes(block, &codes);
    codes_to_floats(F, codes, out + i, F.block);
  }
}

}  // namespace cutaway
