#include "layer_normalize.h"

namespace cutaway {

static constexpr Kernel<LayerNormalize> kernels[] = CUTAWAY_KERNELS(layer_normalize);
extern const Op op_layer_normalize;
const Op op_layer_normalize = make_op<LayerNormalize, kernels>("layer_normalize", {"x", "scale"}, {}, {});

Shape LayerNormalize::shape(const Call& call) {
  const Shape &x = call.reads[0].shape, &scale = call.reads[1].shape;
  CHECK_SHAPE(
      call, scale.elements() == x.rows(),
      "scale is " + scale.str() + ", expected one number for each of the " + std::to_string(x.rows()) + " rows of x");
  return x;
}

LayerNormalize LayerNormalize::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  return {.x = floats(call, call.reads[0], "x"),
          .scale = floats(call, call.reads[1], "scale"),
          .y = floats(call, call.out, "out"),
          .T = x.rows(),
          .D = x.last()};
}

}  // namespace cutaway
