// matmul: y[t, n] = sum_k x[t, k] w[n, k] + bias[n]
//
// Shapes   x [T, K], w [N, K] packed, bias [N] -> y [T, N]
// Formats  w in any; x f32, or the q8 blocks of quantize_q8 when w has codes (numerics "fast")
// Refuses  x and w of different K; q8 x with float w        Cost  w's bytes + 4 T (K + N), 2 T N K operations
//
// float x    per row of w: for each 32 columns a chain of fused multiply-adds, then one sum over the chains
// q8 x       per row of w: for each block of 32 columns an exact integer dot product, then acc += integer * (d_w d_x)
// and,
//            where w has minimums, acc += minimum * (d_x * sum of q)
// The order is the same for every target, every T and every split: prefill and decode give the same bits.
#pragma once

#include "formats/packed.h"
#include "matmul/units.h"
#include "op.h"
#include "quantize_q8/quantize_q8.h"

namespace cutaway {

constexpr int kTile = 12;   // tokens that are multiplied in one call
constexpr int kStrips = 2;  // strips that are multiplied together with several tokens

// Whether codes are put together from two planes, which is better done once for several tiles.
static constexpr bool has_planes(const Packing& p) { return p.bits == 3 || p.bits == 5 || p.bits == 6; }

// What a strip takes that is unpacked once for T tokens; 0: it is read as it is packed.
//   rounded x   for each 32 columns the codes of 8 quads, a byte each, then the groups' scales and minimums, float32
//   float x     floats [K][16 rows]
static inline size_t unpacked_bytes(const Format& f, int64_t K, int64_t T, bool rounded) {
  const bool often = T > kTile;
  if (rounded && !(often && has_planes(f.packing))) return 0;
  if (!rounded && !has_codes(f) && !(often && f.payload != Payload::f32)) return 0;
  if (!rounded) return static_cast<size_t>(K * kStripRows) * sizeof(float);
  const int lines = 32 / f.packing.group * (f.packing.minimums ? 2 : 1);
  return static_cast<size_t>(K / 32) * static_cast<size_t>(512 + 64 * lines);
}

// Strips of one unit: for one token they are shared out one by one.
static inline int64_t strips_together(int64_t T) { return T > 1 ? kStrips : 1; }

struct Matmul {
  const float* x;         // [T, K], or null
  const BlockQ8* blocks;  // [T, K / 32], or null
  const std::byte* w;     // packed strips
  const float* bias;      // [N], or null
  float* y;               // [T, N]
  int64_t T, N, K;
  const Format* format;  // of w

  static Shape shape(const Call& call);
  static Matmul bind(const Call& call);
  int64_t abreast() const { return strips_together(T); }
  int64_t units() const { return Units(T, N, abreast()).count(); }
  size_t scratch_bytes() const { return unpacked_bytes(*format, K, T, blocks) * static_cast<size_t>(abreast()); }
};

CUTAWAY_DECLARE(void matmul(const Matmul& a, int64_t begin, int64_t end, std::byte* scratch))

}  // namespace cutaway
