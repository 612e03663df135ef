#include "swiglu_oai.h"

namespace cutaway {

static constexpr Kernel<SwigluOai> kernels[] = CUTAWAY_KERNELS(swiglu_oai);
extern const Op op_swiglu_oai;
const Op op_swiglu_oai = make_op<SwigluOai, kernels>("swiglu_oai", {"pre", "pre_linear"}, {}, {"alpha", "limit"});

Shape SwigluOai::shape(const Call& call) {
  const Shape &pre = call.reads[0].shape, &linear = call.reads[1].shape;
  CHECK_SHAPE(call, pre == linear, "pre_linear is " + linear.str() + ", expected " + pre.str() + ", the shape of pre");
  return pre;
}

SwigluOai SwigluOai::bind(const Call& call) {
  const float alpha = finite(call, "alpha"), limit = finite(call, "limit");
  if (!(limit > 0))
    throw Error("ArgumentError",
                std::string(call.who) + ": limit is " + std::to_string(limit) + ", expected a number above 0");
  return {.pre = floats(call, call.reads[0], "pre"),
          .pre_linear = floats(call, call.reads[1], "pre_linear"),
          .y = floats(call, call.out, "out"),
          .n = call.reads[0].shape.elements(),
          .alpha = alpha,
          .limit = limit};
}

}  // namespace cutaway
