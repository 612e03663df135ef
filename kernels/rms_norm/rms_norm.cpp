#include "rms_norm.h"

namespace cutaway {

static constexpr Kernel<RmsNorm> kernels[] = CUTAWAY_KERNELS(rms_norm);
extern const Op op_rms_norm;
const Op op_rms_norm = make_op<RmsNorm, kernels>("rms_norm", {"x"}, {"w"}, {"eps"});

Shape RmsNorm::shape(const Call& call) {
  const Tensor &x = call.reads[0], &w = call.weights[0];
  check_shape(call, w.shape.elements() == x.shape.last(),
              "w is " + w.shape.str() + ", expected [D] = [" + std::to_string(x.shape.last()) + "], the last axis of x");
  if (!(call.number("eps", 0) > 0)) throw Error("ArgumentError", std::string(call.who) + ": eps must be above 0");
  return x.shape;
}

RmsNorm RmsNorm::bind(const Call& call) {
  const Shape& shape = call.reads[0].shape;
  return {.x = call.reads[0].f32(), .w = call.weights[0].f32(), .y = call.out.f32(), .T = shape.rows(), .D = shape.last(),
          .eps = static_cast<float>(call.number("eps", 0))};
}

}  // namespace cutaway
