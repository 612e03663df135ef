// Softmax of one row, shared by softmax and attention: one order, so fused attention gives the bits of its chain.
// Included by *_cpu.cpp files only, like simd.h.
#pragma once

#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

// A sum whose roundings are added up apart (Knuth's TwoSum); adding zeros changes nothing.
struct Kept {
  f32x16 sum, lost;

  [[gnu::always_inline]] void add(f32x16 a) {
    const f32x16 next = sum + a, taken = next - sum;
    lost = lost + ((sum - (next - taken)) + (a - taken));
    sum = next;
  }
  [[gnu::always_inline]] float total() const { return sum_in_double(sum, lost); }
};

// y[s] = softmax(x)[s] for s in [first, S), first a multiple of 16; y may be x. Element s is added in lane s % 16 of
// the sum of its 64 neighbours, and a masked element (-inf) adds an exact zero: so leaving out masked elements in
// whole groups of 16 changes no bit of the others. exp(sink) joins the divisor last; -inf: there is no sink.
// Returns the sink's own share.
CUTAWAY_INLINE float row_softmax(const float* x, float* y, int64_t first, int64_t S, float sink) {
  const int tail = static_cast<int>(S % 16);
  const int64_t whole = S - tail;
  const float nothing = -__builtin_inff();
  f32x16 most = broadcast(nothing);
  for (int64_t s = first; s < whole; s += 16) most = max(load(x + s), most);
  if (tail) most = max(load_first(x + whole, tail, nothing), most);
  const f32x16 m = max(broadcast(sink), broadcast(largest(most)));
  const f32x16 zero = broadcast(0.0f);
  Kept kept{zero, zero};
  f32x16 part = zero;
  for (int64_t s = first; s < S; s += 16) {
    if (s % 64 == 0) {
      kept.add(part);
      part = zero;
    }
    if (s < whole) {
      f32x16 e = exp(load(x + s) - m);
      store(y + s, e);
      part = part + e;
    } else {
      f32x16 e = exp(load_first(x + s, tail, nothing) - m);
      store_first(y + s, e, tail);
      part = part + e;
    }
  }
  kept.add(part);
  const f32x16 of_sink = exp(broadcast(sink) - m), divisor = broadcast(kept.total()) + of_sink;
  const f32x16 share = broadcast(1.0f) / divisor;  // at most 1: the largest element is in the sum
  for (int64_t s = first; s < whole; s += 16) store(y + s, load(y + s) * share);
  if (tail) store_first(y + whole, load_first(y + whole, tail) * share, tail);
  return first_lane(of_sink * share);
}

}  // namespace cutaway::CUTAWAY_TARGET
