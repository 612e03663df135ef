#include "rms_normalize.h"

namespace cutaway {

static constexpr Kernel<RmsNormalize> kernels[] = CUTAWAY_KERNELS(rms_normalize);
extern const Op op_rms_normalize;
const Op op_rms_normalize = make_op<RmsNormalize, kernels>("rms_normalize", {"x", "scale"}, {}, {});

Shape RmsNormalize::shape(const Call& call) {
  const Shape &x = call.reads[0].shape, &scale = call.reads[1].shape;
  CHECK_SHAPE(
      call, scale.elements() == x.rows(),
      "scale is " + scale.str() + ", expected one number for each of the " + std::to_string(x.rows()) + " rows of x");
  return x;
}

RmsNormalize RmsNormalize::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  return {.x = floats(call, call.reads[0], "x"),
          .scale = floats(call, call.reads[1], "scale"),
          .y = floats(call, call.out, "out"),
          .T = x.rows(),
          .D = x.last()};
}

}  // namespace cutaway
