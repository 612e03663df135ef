#include "gelu_mul.h"

namespace cutaway {

static constexpr Kernel<GeluMul> kernels[] = CUTAWAY_KERNELS(gelu_mul);
extern const Op op_gelu_mul;
const Op op_gelu_mul = make_op<GeluMul, kernels>("gelu_mul", {"pre", "pre_linear"}, {}, {});

Shape GeluMul::shape(const Call& call) {
  const Shape &pre = call.reads[0].shape, &linear = call.reads[1].shape;
  CHECK_SHAPE(call, pre == linear, "pre_linear is " + linear.str() + ", expected " + pre.str() + ", the shape of pre");
  return pre;
}

GeluMul GeluMul::bind(const Call& call) {
  return {.pre = floats(call, call.reads[0], "pre"),
          .pre_linear = floats(call, call.reads[1], "pre_linear"),
          .y = floats(call, call.out, "out"),
          .n = call.reads[0].shape.elements()};
}

}  // namespace cutaway
