// scale: y = factor * x
//
// Gemma multiplies its embedding by sqrt(D).
//
// Source   Gemma Team 2024, arXiv:2403.08295, sec. 2; Vaswani et al. 2017, arXiv:1706.03762, sec. 3.4
// Shapes   x [...] -> y [...]                Formats  f32; factor is rounded to float32
// Refuses  a factor that is not finite       Cost     8 bytes, 1 operation an element
#pragma once

#include "op.h"

namespace cutaway {

struct Scale {
  const float* x;  // [n]
  float* y;        // [n]
  int64_t n;
  float factor;

  static constexpr int64_t kUnit = 4096;  // elements a thread takes at least

  static Shape shape(const Call& call);
  static Scale bind(const Call& call);
  int64_t units() const { return (n + kUnit - 1) / kUnit; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void scale(const Scale& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
