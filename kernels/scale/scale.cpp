#include "scale.h"

namespace cutaway {

static constexpr Kernel<Scale> kernels[] = CUTAWAY_KERNELS(scale);
extern const Op op_scale;
const Op op_scale = make_op<Scale, kernels>("scale", {"x"}, {}, {"factor"});

Shape Scale::shape(const Call& call) { return call.reads[0].shape; }

Scale Scale::bind(const Call& call) {
  const float factor = finite(call, "factor");
  return {.x = floats(call, call.reads[0], "x"),
          .y = floats(call, call.out, "out"),
          .n = call.reads[0].shape.elements(),
          .factor = factor};
}

}  // namespace cutaway
