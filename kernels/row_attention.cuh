// One query against the positions it sees, shared by the four attention ops: one order, so fused attention gives the
// bits of its chain, and a token the same bits whether it comes alone or with others.
#pragma once

#include "cached.h"
#include "cuda.cuh"

namespace cutaway::cuda {

__device__ inline float value_of(float x) { return x; }
__device__ inline float value_of(__half x) { return __half2float(x); }

// q . key over E elements, by one warp.
template <class Element>
__device__ float dot_key(const float* q, const Element* key, int64_t E) {
  float sum = 0.0f;
  for (int64_t e = lane(); e < E; e += kLanes) sum = fmaf(q[e], value_of(key[e]), sum);
  return warp_sum(sum);
}

struct SoftmaxRow {
  float most, total;  // y[s] = exp(x[s] - most) / total
  float sink;         // the share of the sink
};

// Of x[first, S), by one warp; first is a multiple of 32. Element s is added in lane s % 32 of the sum of its 1024
// neighbours, and a masked element (-inf) adds an exact zero: so leaving out masked elements in whole groups of 32
// changes no bit. exp(sink) joins the sum last; -inf: there is no sink.
__device__ inline SoftmaxRow softmax_row(const float* x, int64_t first, int64_t S, float sink) {
  float most = -INFINITY;
  for (int64_t s = first + lane(); s < S; s += kLanes) most = fmaxf(most, x[s]);
  most = fmaxf(warp_max(most), sink);
  float total = 0.0f, part = 0.0f;
  for (int64_t begin = first; begin < S; begin += kLanes) {
    if (begin % 1024 == 0) {
      total = total + part;
      part = 0.0f;
    }
    if (begin + lane() < S) part = part + expf(x[begin + lane()] - most);
  }
  const float of_sink = expf(sink - most);
  total = warp_sum(total + part) + of_sink;
  return {most, total, of_sink / total};
}

// sum over s in [first, last) of pattern[s] * values[s * stride], by one thread. Positions are added up in blocks of
// 64, so that the error does not grow with their number. A position whose pattern is exactly 0 takes no part.
template <class Element>
__device__ float mix_element(const float* pattern, const Element* values, int64_t stride, int64_t first, int64_t last) {
  float total = 0.0f, part = 0.0f;
  for (int64_t s = first; s < last; ++s) {
    if (s % 64 == 0) {
      total = total + part;
      part = 0.0f;
    }
    const float p = pattern[s];
    if (p != 0.0f) part = fmaf(p, value_of(values[s * stride]), part);
  }
  return total + part;
}

// Calls launch(element pointer to position 0 of the cache) with the cache's element type.
template <class Launch>
void with_elements(const Cached& cached, Launch launch) {
  if (cached.half) launch(static_cast<const __half*>(cached.data));
  else launch(static_cast<const float*>(cached.data));
}

// The positions that a query sees; first_seen of cached.h, on the device.
__device__ inline int64_t first_seen_by(int64_t p, int64_t window) {
  return window && p >= window ? p - window + 1 : 0;
}

}  // namespace cutaway::cuda
