// What the attention ops share: keys and values of all positions so far as they lie in a cache, and who sees whom.
#pragma once

#include "op.h"

namespace cutaway {

struct Cached {
  const void* data;  // [S, G, E]
  bool half;         // float16; else float32
  int64_t S, G, E;
};

// The keys or values of a call; raises ArgumentError naming them unless they are f32 or f16.
Cached cached(const Call& call, const Tensor& tensor, const char* name);

// Raises ShapeError unless q is [T, H, E] and keys are [S, G, E], S >= T, H a multiple of G.
void check_queries(const Call& call, const Shape& q, const Shape& keys);

// The attributes scale (finite) and window (a whole number; 0 or absent: none); raises ArgumentError.
float attention_scale(const Call& call);
int64_t attention_window(const Call& call);

// The positions that a query at position p sees: [first, p]. A window counts the query's own position.
inline int64_t first_seen(int64_t p, int64_t window) { return window && p >= window ? p - window + 1 : 0; }

// Unit i of T tokens, early and late ones in turn: late tokens see more, and threads take equal runs of units.
inline int64_t token_of_unit(int64_t i, int64_t T) { return i % 2 ? T - 1 - i / 2 : i / 2; }

}  // namespace cutaway
