// The packed layout: a weight [N, K] as the CPU's matmul reads it. Sixteen rows make a strip; in a strip the lanes of a
// vector are rows, so a product needs no sum across lanes and every target adds in the same order. The values are those
// of the file, bit for bit; only their places change.
//
//   floats (f32 f16 bf16)   strip = [K][16 rows]
//   codes                   strip = [K / 32] blocks of
//                             payload   8 quads of 4 columns: 64 bytes [16 rows][4 columns] each; 4-bit codes hold quad
//                             2j in
//                                       the low and quad 2j + 1 in the high nibbles of line j: 256 bytes, else 512
//                             scales    [32 / group][16 rows], float16, or float32 where the format is wide
//                             minimums  the same, if the format has them
// Rows past N are zero.
#pragma once

#include <cstddef>
#include <functional>

#include "base/tensor.h"
#include "base/threads.h"
#include "formats/format.h"

namespace cutaway {

constexpr int64_t kStripRows = 16;
constexpr int64_t kBlockColumns = 32;

// Static, so that a file built for a wide target keeps its own copy to itself.
struct PackedBlock {  // byte offsets inside one block of a strip
  size_t scales, minimums, bytes;
};

static inline PackedBlock packed_block(const Format& f) {
  size_t payload = f.payload == Payload::u4 ? 256 : 512;
  size_t scales = static_cast<size_t>(kBlockColumns / f.group * kStripRows) * (f.wide_scale ? 4 : 2);
  return {payload, payload + scales, payload + scales * (f.minimums ? 2 : 1)};
}

static inline bool has_codes(const Format& f) { return f.payload == Payload::u4 || f.payload == Payload::u8; }

static inline size_t strip_bytes(const Format& f, int64_t K) {
  if (has_codes(f)) return static_cast<size_t>(K / kBlockColumns) * packed_block(f).bytes;
  return static_cast<size_t>(K * kStripRows) * (f.payload == Payload::f32 ? 4 : 2);
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

// Packs the rows of a weight [N, K] or [X, N, K] into `out`, packed_bytes() long. `row(n, buffer)` returns the stored
// bytes of row n, which it may have put into `buffer`, row_bytes(f, K) long; it is called from several threads.
void pack(const Format& f, const Shape& shape, const std::function<const void*(int64_t n, void* buffer)>& row,
          void* out, Pool& pool);

// Row n of a packed weight to float32, bit for bit what unpack_row gives for the stored row.
void unpack_packed_row(const Format& f, const void* packed, int64_t K, int64_t n, float* out);
// The same of a packed [N, K] or [X, N, K], whose rows are counted through.
void unpack_packed(const Format& f, const void* packed, const Shape& shape, int64_t n, float* out);

// The integer that a code stands for.
static inline int integer_of(const Format& f, int code) { return f.table ? f.table[code] : code - f.offset; }

}  // namespace cutaway
