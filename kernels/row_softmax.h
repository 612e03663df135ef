// Softmax of one row, shared by softmax and attention: one order, so fused attention gives the bits of its chain.
// Included by *_cpu.cpp files only, like simd.h.
#pragma once

#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

// y[s] = softmax(x)[s] for s in [first, S), first a multiple of 16; y may be x. Element s is added in lane s % 16 of
// the sum of its 512 neighbours, and a masked element (-inf) adds an exact zero: so leaving out masked elements in
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
  f32x16 total = broadcast(0.0f), part = total;
  for (int64_t s = first; s < S; s += 16) {
    if (s % 512 == 0) {
      total = total + part;
      part = broadcast(0.0f);
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
  total = total + part;
  const f32x16 of_sink = exp(broadcast(sink) - m), divisor = broadcast(sum(total)) + of_sink;
  const f32x16 share = broadcast(1.0f) / divisor;  // at most 1: the largest element is in the sum
  for (int64_t s = first; s < whole; s += 16) store(y + s, load(y + s) * share);
  if (tail) store_first(y + whole, load_first(y + whole, tail) * share, tail);
  return first_lane(of_sink * share);
}

}  // namespace cutaway::CUTAWAY_TARGET
