#include "layer_scale.h"

namespace cutaway {

static constexpr Kernel<LayerScale> kernels[] = CUTAWAY_KERNELS(layer_scale);
extern const Op op_layer_scale;
const Op op_layer_scale = make_op<LayerScale, kernels>("layer_scale", {"x"}, {}, {"eps"});

Shape LayerScale::shape(const Call& call) {
  Shape scale = call.reads[0].shape;
  CHECK_SHAPE(call, scale.rank > 0 && scale.last() > 0,
              "x is " + scale.str() + ", expected rows of at least one element");
  scale[scale.rank - 1] = 1;
  return scale;
}

LayerScale LayerScale::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  return {.x = floats(call, call.reads[0], "x"),
          .scale = floats(call, call.out, "out"),
          .T = x.rows(),
          .D = x.last(),
          .eps = positive_eps(call)};
}

}  // namespace cutaway
