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

// 32 codes of 5 bits: low nibbles of qs, then high ones; bit j of qh is the highest of code j.
inline void codes_of_5_bits(const uint8_t* qs, uint32_t qh, uint8_t* code) {
  for (int j = 0; j < 16; j += 8) {
    const uint64_t q = get_long(qs + j), low = each_byte_of_long(15);
    put_long(code + j, (q & low) | bits_to_bytes(qh >> j & 255) << 4);
    put_long(code + j + 16, (q >> 4 & low) | bits_to_bytes(qh >> (j + 16) & 255) << 4);
  }
}

}  // namespace cutaway
