#include "layer_norm.h"

namespace cutaway {

static constexpr Kernel<LayerNorm> kernels[] = CUTAWAY_KERNELS(layer_norm);
extern const Op op_layer_norm;
const Op op_layer_norm = make_op<LayerNorm, kernels>("layer_norm", {"x"}, {"w", "?bias"}, {"eps"});

Shape LayerNorm::shape(const Call& call) {
  const Shape& x = call.reads[0].shape;
  check_channels(call, "w", call.weights[0].shape, x);
  if (call.has_weight(1)) check_channels(call, "bias", call.weights[1].shape, x);
  return x;
}

LayerNorm LayerNorm::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  return {.x = floats(call, call.reads[0], "x"),
          .w = floats(call, call.weights[0], "w"),
          .bias = call.has_weight(1) ? floats(call, call.weights[1], "bias") : nullptr,
          .y = floats(call, call.out, "out"),
          .T = x.rows(),
          .D = x.last(),
          .eps = positive_eps(call)};
}

}  // namespace cutaway
