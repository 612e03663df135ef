// attention_sink: y[t, h] = exp(sinks[h] - m) / (exp(sinks[h] - m) + sum over s of exp(scores[t, h, s] - m)),
// m the maximum of sinks[h] and the row: what the row of softmax with these sinks lacks to 1
//
// Source   OpenAI 2025, gpt-oss model card, arXiv:2508.10925, sec. 2.1
// Shapes   scores [T, H, S], sinks [H] -> y [T, H]        Formats  f32
// Refuses  sinks that are not one for each head           Cost     4 T H S bytes, 20 T H S operations
#pragma once

#include "op.h"

namespace cutaway {

struct AttentionSink {
  const float* scores;  // [T, H, S]
  const float* sinks;   // [H]
  float* y;             // [T, H]
  int64_t T, H, S;

  static Shape shape(const Call& call);
  static AttentionSink bind(const Call& call);
  int64_t units() const { return T * H; }
  size_t scratch_bytes() const { return static_cast<size_t>(S + 16) * sizeof(float); }
};

CUTAWAY_DECLARE(void attention_sink(const AttentionSink& a, int64_t begin, int64_t end, std::byte* scratch))

}  // namespace cutaway
