// The packed layout: a weight [N, K] as the CPU's matmul reads it. Sixteen rows make a strip; in a strip the lanes of a
// vector are rows, so a product needs no sum across lanes and every target adds in the same order. The values are those
// of the file, bit for bit; only their places change, and a bit that says nothing may be left out.
//
//   floats (f32 f16 bf16)   strip = [K][16 rows]
//   f16 and bf16, all below 2 in magnitude, K a multiple of 32: bit 14, the exponent's highest, is 0 everywhere. 32
//     columns are 16 lines of 64 bytes; the last is left out, and its bit i is bit 14 of line i, its sign that of line
//     14
//   codes                   strip = [K / 32] cells, or [K / 256] where scales have factors in common; a cell is
//     d          [16 rows] float16, or a byte each where it is an exponent
//     m          the same, if the format has minimums
//     scales     [256 / group][16 rows] bytes, if a cell has several
//     minimums   the same, if the format has them and they do not share the scales' bytes: scale | minimum << 4
//     codes      for each 32 columns 8 quads of 4 columns; a line is 64 bytes, [16 rows][4 columns]
//       8 bits     8 lines, quad c in line c
//       4 5 6      4 lines, quads 2j and 2j + 1 in the low and high nibbles of line j; then the higher bits:
//                    5: one line, of quad c in bit c;  6: two lines, of quad 4h + i in bits 2i and 2i + 1 of line h
//       2 3        2 lines, quad 4h + i in bits 2i and 2i + 1 of line h; then of 3 the highest bit as of 5
// Rows past N are zero. Strips lie one after the other, without gaps.
#pragma once

#include <cstddef>
#include <functional>

#include "base/tensor.h"
#include "base/threads.h"
#include "formats/format.h"

namespace cutaway {

constexpr int64_t kStripRows = 16;
constexpr int64_t kBlockColumns = 32;
constexpr size_t kShortCell = 15 * 64;  // bytes of 32 columns of floats below 2

// Static, so that a file built for a wide target keeps its own copy to itself.
struct Cell {
  int columns;
  size_t m, scales, minimums, codes, bytes;  // byte offsets inside a cell; d is at 0
  size_t block;                              // bytes of the codes of 32 columns
};

static constexpr Cell cell_of(const Packing& p) {
  Cell cell{};
  const bool several = p.scales == Scales::bytes || p.scales == Scales::nibbles;
  cell.columns = several ? 256 : 32;
  const size_t factor = p.scales == Scales::e8m0 ? 16 : 32, lines = several ? static_cast<size_t>(256 / p.group) : 0;
  cell.m = factor;
  cell.scales = cell.m + (p.minimums ? factor : 0);
  cell.minimums = cell.scales + 16 * lines;
  cell.codes = cell.minimums + (p.minimums && p.scales == Scales::bytes ? 16 * lines : 0);
  cell.block = 64 * static_cast<size_t>(p.bits);
  cell.bytes = cell.codes + static_cast<size_t>(cell.columns / 32) * cell.block;
  return cell;
}

static inline bool has_codes(const Format& f) { return f.payload == Payload::codes; }

static inline size_t strip_bytes(const Format& f, int64_t K) {
  if (f.packing.bits == 15) return static_cast<size_t>(K / kBlockColumns) * kShortCell;
  if (!has_codes(f)) return static_cast<size_t>(K * kStripRows * f.block_bytes);
  const Cell cell = cell_of(f.packing);
  return static_cast<size_t>(K / cell.columns) * cell.bytes;
}

static inline int64_t strips(int64_t N) { return (N + kStripRows - 1) / kStripRows; }

static inline size_t packed_bytes(const Format& f, int64_t N, int64_t K) {
  return static_cast<size_t>(strips(N)) * strip_bytes(f, K);
}

// Of a weight [N, K], or of [X, N, K]: X of them one after the other.
static inline size_t packed_bytes(const Format& f, const Shape& shape) {
  const int64_t N = shape[shape.rank - 2], X = shape.rank == 3 ? shape[0] : 1;
  return static_cast<size_t>(X) * packed_bytes(f, N, shape.last());
}

// Returns the stored bytes of rows [first, first + count), one after the other, which it may have put into `buffer`,
// count * row_bytes(f, K) long. Rows of experts' matrices [X, N, K] are counted through; it is called from several
// threads.
using StoredRows = std::function<const void*(int64_t first, int64_t count, void* buffer)>;

// How a weight with rows of K elements should be packed, if its values allow.
static inline const Format& shortest(const Format& f, int64_t K) {
  return f.below_2 && K % kBlockColumns == 0 ? *f.below_2 : f;
}

// Packs a weight [N, K] or [X, N, K] into `out`, packed_bytes() long. False if f's packing does not hold its values.
[[nodiscard]] bool pack(const Format& f, const Shape& shape, const StoredRows& rows, void* out, Pool& pool);

// Row n of a packed weight to float32, bit for bit what unpack_row gives for the stored row.
void unpack_packed_row(const Format& f, const void* packed, int64_t K, int64_t n, float* out);
// The same of a packed [N, K] or [X, N, K], whose rows are counted through.
void unpack_packed(const Format& f, const void* packed, const Shape& shape, int64_t n, float* out);

}  // namespace cutaway
