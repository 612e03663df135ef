#include "attention_sink.h"

namespace cutaway {

static constexpr Kernel<AttentionSink> kernels[] = CUTAWAY_KERNELS(attention_sink);
extern const Op op_attention_sink;
const Op op_attention_sink = make_op<AttentionSink, kernels>("attention_sink", {"scores"}, {"sinks"}, {});

Shape AttentionSink::shape(const Call& call) {
  const Shape& scores = call.reads[0].shape;
  CHECK_SHAPE(call, scores.rank == 3 && scores[2] > 0, "scores is " + scores.str() + ", expected [T, H, S]");
  check_sinks(call, scores[1]);
  return {scores[0], scores[1]};
}

AttentionSink AttentionSink::bind(const Call& call) {
  const Shape& scores = call.reads[0].shape;
  return {.scores = floats(call, call.reads[0], "scores"),
          .sinks = floats(call, call.weights[0], "sinks"),
          .y = floats(call, call.out, "out"),
          .T = scores[0],
          .H = scores[1],
          .S = scores[2]};
}

}  // namespace cutaway
