#include "softmax.h"

namespace cutaway {

static constexpr Kernel<Softmax> kernels[] = CUTAWAY_KERNELS(softmax);
extern const Op op_softmax;
const Op op_softmax = make_op<Softmax, kernels>("softmax", {"x"}, {"?sinks"}, {});

Shape Softmax::shape(const Call& call) {
  const Shape& x = call.reads[0].shape;
  CHECK_SHAPE(call, x.rank > 0 && x.last() > 0, "x is " + x.str() + ", expected rows of at least one element");
  if (call.has_weight(0)) check_sinks(call, x.rank >= 2 ? x[x.rank - 2] : 0);
  return x;
}

Softmax Softmax::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  return {.x = floats(call, call.reads[0], "x"),
          .y = floats(call, call.out, "out"),
          .R = x.rows(),
          .S = x.last(),
          .sinks = call.has_weight(0) ? floats(call, call.weights[0], "sinks") : nullptr,
          .H = call.has_weight(0) ? x[x.rank - 2] : 1};
}

}  // namespace cutaway
