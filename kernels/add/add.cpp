#include "add.h"

namespace cutaway {

static constexpr Kernel<Add> kernels[] = CUTAWAY_KERNELS(add);
extern const Op op_add;
const Op op_add = make_op<Add, kernels>("add", {"x", "y"}, {}, {});

Shape Add::shape(const Call& call) {
  const Shape &x = call.reads[0].shape, &y = call.reads[1].shape;
  CHECK_SHAPE(call, x == y, "y is " + y.str() + ", expected " + x.str() + ", the shape of x; nothing is broadcast");
  return x;
}

Add Add::bind(const Call& call) {
  return {.x = floats(call, call.reads[0], "x"),
          .y = floats(call, call.reads[1], "y"),
          .z = floats(call, call.out, "out"),
          .n = call.reads[0].shape.elements()};
}

}  // namespace cutaway
