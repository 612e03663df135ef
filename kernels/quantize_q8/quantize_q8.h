// quantize_q8: rounds activations to 8-bit integers, 32 at a time, for integer dot products with quantised weights.
//   d = max |x| / 127;   q = nearest integer to x * (1 / d), ties to even;   1 / d is 0 for a block of zeros
//
// Source   ggml's Q8_0 as an activation format, with d kept in float32 (float16 scales overflow in some models)
// Shapes   x [T, ..] -> [T, K / 32] blocks, K all axes of x but the first       Formats  f32 -> q8 blocks
// Refuses  K not a multiple of 32         Cost     5.5 T K bytes, 3 T K operations
//
// A block that holds NaN or infinity gets d = NaN, so that everything computed from it is NaN and is noticed. A block
// whose d would be subnormal (all of it below 1.5e-36) is zero.
#pragma once

#include "matmul/units.h"
#include "op.h"

namespace cutaway {

struct BlockQ8 {
  int8_t q[32];
  float d;
  int32_t
      start[2];  // -128 times the sum of q[0..15] and of q[16..31]: what products with codes 128 too high begin with
  float total;   // d times the sum of q, in float32: what minimums are multiplied with
};
static_assert(sizeof(BlockQ8) == 48);

struct QuantizeQ8 {
  const float* x;  // [T, K]
  BlockQ8* y;      // [T, K / 32]
  int64_t T, K;
  bool behind;  // runs with the product that gives x, in this one's units: some columns, a slice of tokens

  static Shape shape(const Call& call);  // in float32 elements: a block counts as 12
  static QuantizeQ8 bind(const Call& call);
  Units product_units() const { return {T, K, kBlockColumns / kStripRows}; }
  int64_t units() const { return behind ? product_units().count() : T; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void quantize_q8(const QuantizeQ8& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
