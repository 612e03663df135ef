// float16 bits to float32, exactly, and back, to the nearest, on any CPU.
#pragma once

#include <cstdint>
#include <cstring>

namespace cutaway {

inline float f16_value(uint16_t h) {
  // Shift the 15 bits into place and rescale: exact for normal and subnormal numbers; infinities and NaN apart.
  uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16, rest = static_cast<uint32_t>(h & 0x7fff) << 13;
  float value;
  if (rest >= 0x0f800000u) {
    rest |= 0x7f800000u;
  } else {
    std::memcpy(&value, &rest, 4);
    value *= 0x1p112f;
    std::memcpy(&rest, &value, 4);
  }
  rest |= sign;
  std::memcpy(&value, &rest, 4);
  return value;
}

// To the nearest float16, ties to even; past 65504 infinity, NaN stays NaN.
inline uint16_t f16_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  bits &= 0x7fffffff;
  if (bits > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00 | (bits >> 13 & 0x1ff));
  if (bits >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00);  // 65520 and above round to infinity
  if (bits < 0x38800000u) {  // below 2^-14: adding 0.5 leaves the 10 subnormal bits, rounded, at the bottom
    float magic;
    std::memcpy(&magic, &bits, 4);
    magic += 0.5f;
    std::memcpy(&bits, &magic, 4);
    return static_cast<uint16_t>(sign | (bits - 0x3f000000u));
  }
  bits += 0xfffu + (bits >> 13 & 1);
  return static_cast<uint16_t>(sign | (bits - 0x38000000u) >> 13);
}

}  // namespace cutaway
