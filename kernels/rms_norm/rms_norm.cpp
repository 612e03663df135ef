#include "rms_norm.h"

namespace cutaway {

static constexpr Kernel<RmsNorm> kernels[] = CUTAWAY_KERNELS(rms_norm);
extern const Op op_rms_norm;
const Op op_rms_norm = make_op<RmsNorm, kernels>("rms_norm", {"x"}, {"w"}, {"eps"});

Shape RmsNorm::shape(const Call& call) {
  check_channels(call, "w", call.weights[0].shape, call.reads[0].shape);
  return call.reads[0].shape;
}

RmsNorm RmsNorm::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  return {.x = floats(call, call.reads[0], "x"),
          .w = floats(call, call.weights[0], "w"),
          .y = floats(call, call.out, "out"),
          .T = x.rows(),
          .D = x.last(),
          .eps = positive_eps(call)};
}

}  // namespace cutaway
