// add: z = x + y
//
// Shapes   x [...], y of the same shape -> z      Formats  f32
// Refuses  two shapes                             Cost     12 bytes, 1 operation an element
#pragma once

#include "op.h"

namespace cutaway {

struct Add {
  const float* x;  // [n]
  const float* y;  // [n]
  float* z;        // [n]
  int64_t n;

  static constexpr int64_t kUnit = 4096;  // elements a thread takes at least

  static Shape shape(const Call& call);
  static Add bind(const Call& call);
  int64_t units() const { return (n + kUnit - 1) / kUnit; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void add(const Add& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
