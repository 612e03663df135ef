#include "attention_scores.h"

namespace cutaway {

static constexpr Kernel<AttentionScores> kernels[] = CUTAWAY_KERNELS(attention_scores);
extern const Op op_attention_scores;
const Op op_attention_scores =
    make_op<AttentionScores, kernels>("attention_scores", {"q", "keys"}, {}, {"scale", "?window"}, true);

Shape AttentionScores::shape(const Call& call) {
  const Shape &q = call.reads[0].shape, &keys = call.reads[1].shape;
  check_queries(call, q, keys);
  return {q[0], q[1], keys[0]};
}

AttentionScores AttentionScores::bind(const Call& call) {
  const Shape& q = call.reads[0].shape;
  return {.q = floats(call, call.reads[0], "q"),
          .keys = cached(call, call.reads[1], "keys"),
          .scores = floats(call, call.out, "out"),
          .T = q[0],
          .H = q[1],
          .scale = attention_scale(call),
          .window = attention_window(call)};
}

}  // namespace cutaway
