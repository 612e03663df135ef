// Words of four bytes: codes are moved four at a time.
#pragma once

#include <cstdint>
#include <cstring>

namespace cutaway {

inline uint32_t get_word(const uint8_t* at) {
  uint32_t word;
  std::memcpy(&word, at, 4);
  return word;
}

inline void put_word(uint8_t* at, uint32_t word) { std::memcpy(at, &word, 4); }

// The same bits in each of four bytes.
constexpr uint32_t each_byte(uint32_t bits) { return bits * 0x01010101u; }

// Bit i of four bits as byte i, 0 or 1: the product puts bit i at 8 i, and others between, which are masked away.
constexpr uint32_t bits_to_bytes(uint32_t bits) { return bits * 0x00204081u & each_byte(1); }

}  // namespace cutaway
