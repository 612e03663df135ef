// Stored rows to a strip of the packed layout (packed.h): instantiated by each format's file, so that a block goes from
// its stored form to its places in registers.
#pragma once

#include <algorithm>
#include <cstring>

#include "formats/packed.h"
#include "formats/words.h"

namespace cutaway {

// --- the codes of 32 columns of one row: eight words of four codes, each at the row's place in its lines

inline void put_codes(int bits, uint8_t* block, int64_t lane, const uint8_t* codes) {
  uint32_t quad[8];
  std::memcpy(quad, codes, 32);
  if (bits == 8) {
    for (int c = 0; c < 8; ++c) put_word(block + c * 64 + lane * 4, quad[c]);
    return;
  }
  int line = 0;
  if (bits >= 4) {
    for (; line < 4; ++line)
      put_word(block + line * 64 + lane * 4, (quad[2 * line] & each_byte(15)) | (quad[2 * line + 1] & each_byte(15))
                                                                                    << 4);
    for (uint32_t& q : quad) q = q >> 4 & each_byte(15);
  }
  if (bits == 2 || bits == 3 || bits == 6) {
    for (int h = 0; h < 2; ++h, ++line) {
      uint32_t word = 0;
      for (int i = 0; i < 4; ++i) word |= (quad[4 * h + i] & each_byte(3)) << 2 * i;
      put_word(block + line * 64 + lane * 4, word);
    }
    for (uint32_t& q : quad) q = q >> 2 & each_byte(1);
  }
  if (bits == 3 || bits == 5) {
    uint32_t word = 0;
    for (int c = 0; c < 8; ++c) word |= quad[c] << c;
    put_word(block + line * 64 + lane * 4, word);
  }
}

// --- a cell's share of one row; elements [0, cell.columns) of `codes`

inline void put_cell(const Packing& p, const Cell& at, uint8_t* cell, int64_t lane, const Codes& codes) {
  for (int b = 0; b < at.columns / 32; ++b)
    put_codes(p.bits, cell + at.codes + static_cast<size_t>(b) * at.block, lane, codes.code + 32 * b);
  if (p.scales == Scales::e8m0) {
    cell[lane] = static_cast<uint8_t>(codes.d);
    return;
  }
  std::memcpy(cell + lane * 2, &codes.d, 2);
  if (p.minimums) std::memcpy(cell + at.m + lane * 2, &codes.m, 2);
  if (p.scales == Scales::f16) return;
  for (int g = 0; g < 256 / p.group; ++g) {
    const auto scale = static_cast<uint8_t>(codes.scale[g]);
    const bool shared = p.scales == Scales::nibbles;
    cell[at.scales + static_cast<size_t>(g * 16 + lane)] =
        shared ? static_cast<uint8_t>(scale | codes.minimum[g] << 4) : scale;
    if (p.minimums && !shared) cell[at.minimums + static_cast<size_t>(g * 16 + lane)] = codes.minimum[g];
  }
}

// --- strips: up to sixteen stored rows that lie one after the other

template <const Format& F>
bool pack_codes(int64_t K, const uint8_t* rows, int64_t count, uint8_t* strip) {
  const Packing p = F.packing;
  const Cell at = cell_of(p);
  const int64_t bytes = row_bytes(F, K);
  Codes codes;
  for (int64_t column = 0; column < K; column += at.columns, rows += F.block_bytes, strip += at.bytes)
    for (int64_t lane = 0; lane < count; ++lane) {
      F.unpack_codes(rows + lane * bytes, &codes);
      put_cell(p, at, strip, lane, codes);
    }
  return true;
}

template <typename T>
bool pack_floats(int64_t K, const uint8_t* rows, int64_t count, uint8_t* strip) {
  constexpr int64_t width = 16;  // columns whose lines stay in the first cache while all lanes are put there
  for (int64_t from = 0; from < K; from += width)
    for (int64_t lane = 0; lane < count; ++lane)
      for (int64_t k = from; k < std::min(K, from + width); ++k)
        std::memcpy(strip + (k * kStripRows + lane) * int64_t{sizeof(T)}, rows + (lane * K + k) * int64_t{sizeof(T)},
                    sizeof(T));
  return true;
}

inline bool pack_below_2(int64_t K, const uint8_t* rows, int64_t count, uint8_t* strip) {
  constexpr int64_t width = kBlockColumns, line = 2 * kStripRows, last = 15;
  for (int64_t from = 0; from < K; from += width, strip += kShortCell) {
    uint16_t words[width * kStripRows] = {}, all = 0;
    for (int64_t lane = 0; lane < count; ++lane)
      for (int64_t k = 0; k < width; ++k) {
        uint16_t& word = words[k * kStripRows + lane];
        std::memcpy(&word, rows + (lane * K + from + k) * 2, 2);
        all |= word;
      }
    if (all & 0x4000) return false;
    for (int64_t i = 0; i < last; ++i)
      for (int64_t j = 0; j < line; ++j) {
        const int bit = words[last * line + j] >> (i < 14 ? i : 15) & 1;
        words[i * line + j] = static_cast<uint16_t>(words[i * line + j] | bit << 14);
      }
    std::memcpy(strip, words, kShortCell);
  }
  return true;
}

// A format of floats as it is packed if all are below 2; and as it is otherwise, which knows of that.
constexpr Format below_2(Format f) {
  f.packing.bits = 15;
  f.pack_strip = pack_below_2;
  return f;
}
constexpr Format with_below_2(Format f, const Format& shorter) {
  f.below_2 = &shorter;
  return f;
}

}  // namespace cutaway
