// float16 bits to float32, exactly, on any CPU: scales in blocks are float16.
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

}  // namespace cutaway
