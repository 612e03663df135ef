#include "attention.h"

namespace cutaway {

static constexpr Kernel<Attention> kernels[] = CUTAWAY_KERNELS(attention);
extern const Op op_attention;
const Op op_attention =
    make_op<Attention, kernels>("attention", {"q", "keys", "values"}, {"?sinks"}, {"scale", "?window"}, true);

Shape Attention::shape(const Call& call) {
  const Shape &q = call.reads[0].shape, &keys = call.reads[1].shape, &values = call.reads[2].shape;
  check_queries(call, q, keys);
  CHECK_SHAPE(call, values == keys, "values is " + values.str() + ", expected " + keys.str() + ", the shape of keys");
  if (call.has_weight(0)) check_sinks(call, q[1]);
  return q;
}

Attention Attention::bind(const Call& call) {
  const Shape& q = call.reads[0].shape;
  if (call.reads[1].format != call.reads[2].format)
    throw Error("ArgumentError", std::string(call.who) + ": keys and values are in two formats, expected one");
  return {.q = floats(call, call.reads[0], "q"),
          .keys = cached(call, call.reads[1], "keys"),
          .values = cached(call, call.reads[2], "values"),
          .z = floats(call, call.out, "out"),
          .T = q[0],
          .H = q[1],
          .scale = attention_scale(call),
          .window = attention_window(call),
          .sinks = call.has_weight(0) ? floats(call, call.weights[0], "sinks") : nullptr};
}

}  // namespace cutaway
