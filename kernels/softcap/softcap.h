// softcap: y = cap * tanh(x / cap)
//
// Keeps logits within (-cap, cap).
//
// Source   Gemma Team 2024, arXiv:2408.00118, sec. 2, "logit soft-capping"
// Shapes   x [...] -> y [...]              Formats  f32; cap is rounded to float32
// Refuses  a cap that is not above 0       Cost     8 bytes, 30 operations an element
#pragma once

#include "op.h"

namespace cutaway {

struct Softcap {
  const float* x;  // [n]
  float* y;        // [n]
  int64_t n;
  float cap;

  static constexpr int64_t kUnit = 4096;  // elements a thread takes at least

  static Shape shape(const Call& call);
  static Softcap bind(const Call& call);
  int64_t units() const { return (n + kUnit - 1) / kUnit; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void softcap(const Softcap& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
