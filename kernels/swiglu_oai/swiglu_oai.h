// swiglu_oai: y = g / (1 + exp(-alpha g)) * (u + 1),  g = min(pre, limit), u = pre_linear held within [-limit, limit]
//
// The middle of an expert of gpt-oss. The gate is cut off above only.
//
// Source   OpenAI 2025, gpt-oss model card, arXiv:2508.10925, sec. 2.1, and its reference code (swiglu in model.py)
// Shapes   pre [...], pre_linear of the same shape -> y      Formats  f32
// Refuses  two shapes; a limit that is not above 0           Cost     12 bytes, 21 operations an element
#pragma once

#include "op.h"

namespace cutaway {

struct SwigluOai {
  const float* pre;         // [n]
  const float* pre_linear;  // [n]
  float* y;                 // [n]
  int64_t n;
  float alpha, limit;

  static constexpr int64_t kUnit = 4096;  // elements a thread takes at least

  static Shape shape(const Call& call);
  static SwigluOai bind(const Call& call);
  int64_t units() const { return (n + kUnit - 1) / kUnit; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void swiglu_oai(const SwigluOai& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
