#include "gain.h"

namespace cutaway {

static constexpr Kernel<Gain> kernels[] = CUTAWAY_KERNELS(gain);
extern const Op op_gain;
const Op op_gain = make_op<Gain, kernels>("gain", {"x"}, {"w", "?bias"}, {});

Shape Gain::shape(const Call& call) {
  const Shape& x = call.reads[0].shape;
  check_channels(call, "w", call.weights[0].shape, x);
  if (call.has_weight(1)) check_channels(call, "bias", call.weights[1].shape, x);
  return x;
}

Gain Gain::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  return {.x = floats(call, call.reads[0], "x"),
          .w = floats(call, call.weights[0], "w"),
          .bias = call.has_weight(1) ? floats(call, call.weights[1], "bias") : nullptr,
          .y = floats(call, call.out, "out"),
          .T = x.rows(),
          .D = x.last()};
}

}  // namespace cutaway
