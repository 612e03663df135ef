// Philox4x32-10: 128 bits of counter and 64 of key to 128 random bits, with no state in between. A draw is therefore a
// function of where it is made, not of how many were made before it.
//
// Source   Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", sec. 3.3 and table 2
#pragma once

#include <array>
#include <cstdint>

namespace cutaway {

inline std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0], b = uint64_t{0xCD9E8D57} * counter[2];
    const uint32_t a_high = static_cast<uint32_t>(a >> 32), b_high = static_cast<uint32_t>(b >> 32);
    counter = {b_high ^ counter[1] ^ key[0], static_cast<uint32_t>(b), a_high ^ counter[3] ^ key[1],
               static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;  // the golden ratio
    key[1] += 0xBB67AE85;  // sqrt(3) - 1
  }
  return counter;
}

// Uniform in [0, 1), 53 bits, for the token at `position` of `sequence`: the key is the seed, the counter the place, so
// neither the batch, its order nor a rewind can shift a draw.
inline double uniform_at(uint64_t seed, uint64_t sequence, uint64_t position) {
  const auto low = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto high = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  const auto words =
      philox4x32({low(position), high(position), low(sequence), high(sequence)}, {low(seed), high(seed)});
  return static_cast<double>((uint64_t{words[0]} << 32 | words[1]) >> 11) * 0x1p-53;
}

}  // namespace cutaway
