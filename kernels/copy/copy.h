// copy: y = x, bit for bit
//
// Shapes   x [...] -> y [...]          Formats  f32
// Refuses  x in another format         Cost     8 bytes, no operation an element
#pragma once

#include "op.h"

namespace cutaway {

struct Copy {
  const float* x;  // [n]
  float* y;        // [n]
  int64_t n;

  static constexpr int64_t kUnit = 4096;  // elements a thread takes at least

  static Shape shape(const Call& call);
  static Copy bind(const Call& call);
  int64_t units() const { return (n + kUnit - 1) / kUnit; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void copy(const Copy& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
