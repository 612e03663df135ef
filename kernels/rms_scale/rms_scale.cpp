#include "rms_scale.h"

namespace cutaway {

static constexpr Kernel<RmsScale> kernels[] = CUTAWAY_KERNELS(rms_scale);
extern const Op op_rms_scale;
const Op op_rms_scale = make_op<RmsScale, kernels>("rms_scale", {"x"}, {}, {"eps"});

Shape RmsScale::shape(const Call& call) {
  Shape scale = call.reads[0].shape;
  CHECK_SHAPE(call, scale.rank > 0 && scale.last() > 0,
              "x is " + scale.str() + ", expected rows of at least one element");
  scale[scale.rank - 1] = 1;
  return scale;
}

RmsScale RmsScale::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  return {.x = floats(call, call.reads[0], "x"),
          .scale = floats(call, call.out, "out"),
          .T = x.rows(),
          .D = x.last(),
          .eps = positive_eps(call)};
}

}  // namespace cutaway
