#include "formats/packed.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>

#include "formats/unpack.h"
#include "formats/words.h"

namespace cutaway {
namespace {

// How many stored bytes are asked for at a time: long reads, and still in the second cache when they are packed.
constexpr int64_t kReadBytes = 256 << 10;

// --- one row of a cell

void get_codes(int bits, const uint8_t* block, int64_t lane, uint8_t* codes) {
  uint32_t quad[8] = {};
  int line = 0, shift = 0;
  if (bits == 8)
    for (int c = 0; c < 8; ++c) quad[c] = get_word(block + c * 64 + lane * 4);
  if (bits >= 4 && bits < 8) {
    for (int c = 0; c < 8; ++c) quad[c] = get_word(block + (c / 2) * 64 + lane * 4) >> c % 2 * 4 & each_byte(15);
    line = shift = 4;
  }
  if (bits == 2 || bits == 3 || bits == 6) {
    for (int c = 0; c < 8; ++c)
      quad[c] |= (get_word(block + (line + c / 4) * 64 + lane * 4) >> c % 4 * 2 & each_byte(3)) << shift;
    line += 2, shift += 2;
  }
  if (bits == 3 || bits == 5)
    for (int c = 0; c < 8; ++c) quad[c] |= (get_word(block + line * 64 + lane * 4) >> c & each_byte(1)) << shift;
  std::memcpy(codes, quad, 32);
}

void get_cell(const Packing& p, const Cell& at, const uint8_t* cell, int64_t lane, Codes* codes) {
  for (int b = 0; b < at.columns / 32; ++b)
    get_codes(p.bits, cell + at.codes + static_cast<size_t>(b) * at.block, lane, codes->code + 32 * b);
  if (p.scales == Scales::e8m0) {
    codes->d = cell[lane];
    return;
  }
  std::memcpy(&codes->d, cell + lane * 2, 2);
  if (p.minimums) std::memcpy(&codes->m, cell + at.m + lane * 2, 2);
  if (p.scales == Scales::f16) return;
  for (int g = 0; g < 256 / p.group; ++g) {
    const uint8_t scale = cell[at.scales + static_cast<size_t>(g * 16 + lane)];
    const bool shared = p.scales == Scales::nibbles;
    codes->scale[g] = static_cast<int8_t>(shared ? scale & 15 : scale);
    if (p.minimums)
      codes->minimum[g] =
          shared ? static_cast<uint8_t>(scale >> 4) : cell[at.minimums + static_cast<size_t>(g * 16 + lane)];
  }
}

// An element of floats that go without bit 14.
uint16_t short_word(const uint8_t* cell, int64_t column, int64_t lane) {
  const auto word = [&](int64_t line, int64_t j) {
    uint16_t out;
    std::memcpy(&out, cell + line * 64 + j * 2, 2);
    return out;
  };
  const int64_t line = column / 2, j = column % 2 * kStripRows + lane;
  if (line < 15) return word(line, j) & 0xbfff;
  int bits = 0;
  for (int i = 0; i < 15; ++i) bits |= (word(i, j) >> 14 & 1) << (i < 14 ? i : 15);
  return static_cast<uint16_t>(bits);
}

}  // namespace

bool pack(const Format& f, const Shape& shape, const StoredRows& rows, void* out, Pool& pool) {
  const int64_t N = shape[shape.rank - 2], K = shape.last(), X = shape.rank == 3 ? shape[0] : 1, each = strips(N);
  const int64_t stored = row_bytes(f, K), run = std::max<int64_t>(1, kReadBytes / std::max<int64_t>(1, 16 * stored));
  const size_t bytes = strip_bytes(f, K);
  std::atomic<bool> fits = true;
  pool.parallel_for(X * each, [&](int64_t begin, int64_t end, int) {
    const auto buffer = std::make_unique_for_overwrite<uint8_t[]>(
        static_cast<size_t>(std::min(run, end - begin) * kStripRows * stored));
    for (int64_t s = begin, next; s < end && fits; s = next) {
      next = std::min({end, s + run, (s / each + 1) * each});  // a run ends with its matrix
      const int64_t first = s % each * kStripRows, count = std::min(N - first, (next - s) * kStripRows);
      const auto* from = static_cast<const uint8_t*>(rows(s / each * N + first, count, buffer.get()));
      for (int64_t i = s; i < next; ++i, from += kStripRows * stored) {
        auto* strip = static_cast<uint8_t*>(out) + static_cast<size_t>(i) * bytes;
        const int64_t lanes = std::min(kStripRows, N - i % each * kStripRows);
        if (lanes < kStripRows) std::memset(strip, 0, bytes);
        if (!f.pack_strip(K, from, lanes, strip)) fits = false;
      }
    }
  });
  return fits;
}

void unpack_packed_row(const Format& f, const void* packed, int64_t K, int64_t n, float* out) {
  const auto* strip = static_cast<const uint8_t*>(packed) + static_cast<size_t>(n / kStripRows) * strip_bytes(f, K);
  const int64_t lane = n % kStripRows;
  if (f.packing.bits == 15) {
    for (int64_t k = 0; k < K; ++k) {
      const uint16_t word =
          short_word(strip + static_cast<size_t>(k / kBlockColumns) * kShortCell, k % kBlockColumns, lane);
      f.unpack_row(&word, out + k, 1);
    }
    return;
  }
  if (!has_codes(f)) {
    for (int64_t k = 0; k < K; ++k) f.unpack_row(strip + (k * kStripRows + lane) * f.block_bytes, out + k, 1);
    return;
  }
  const Cell at = cell_of(f.packing);
  Codes codes;
  for (int64_t k = 0; k < K; k += at.columns, strip += at.bytes) {
    get_cell(f.packing, at, strip, lane, &codes);
    codes_to_floats(f, codes, out + k, at.columns);
  }
}

void unpack_packed(const Format& f, const void* packed, const Shape& shape, int64_t n, float* out) {
  const int64_t N = shape[shape.rank - 2], K = shape.last();
  unpack_packed_row(f, static_cast<const std::byte*>(packed) + static_cast<size_t>(n / N) * packed_bytes(f, N, K), K,
                    n % N, out);
}

}  // namespace cutaway
