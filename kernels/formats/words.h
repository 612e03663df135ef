// Words of four and of eight bytes: codes are moved many at a time.
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

inline uint64_t get_long(const uint8_t* at) {
  uint64_t word;
  std::memcpy(&word, at, 8);
  return word;
}

inline void put_long(uint8_t* at, uint64_t word) { std::memcpy(at, &word, 8); }

// The same bits in each of four bytes.
constexpr uint32_t each_byte(uint32_t bits) { return bits * 0x01010101u; }

constexpr uint64_t each_byte_of_long(uint64_t bits) { return bits * 0x0101010101010101u; }

// Bit i of eight bits as byte i, 0 or 1: each byte keeps its own bit, which carries into its highest.
constexpr uint64_t bits_to_bytes(uint64_t bits) {
  return ((each_byte_of_long(bits) & 0x8040201008040201u) + each_byte_of_long(127)) >> 7 & each_byte_of_long(1);
}

}  // namespace cutaway
