#include "softmax.h"

namespace cutaway {

static constexpr Kernel<Softmax> kernels[] = CUTAWAY_KERNELS(softmax);
extern const Op op_softmax;
const Op op_softmax = make_op<Softmax, kernels>("softmax", {"x"}, {}, {});

Shape Softmax::shape(const Call& call) {
  const Shape& x = call.reads[0].shape;
  check_shape(call, x.rank > 0 && x.last() > 0, "x is " + x.str() + ", expected rows of at least one element");
  return x;
}

Softmax Softmax::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  return {.x = floats(call, call.reads[0], "x"), .y = floats(call, call.out, "out"), .R = x.rows(), .S = x.last()};
}

}  // namespace cutaway
