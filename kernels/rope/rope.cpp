#include "rope.h"

#include <cmath>

namespace cutaway {

static constexpr Kernel<Rope> kernels[] = CUTAWAY_KERNELS(rope);
extern const Op op_rope;
const Op op_rope = make_op<Rope, kernels>("rope", {"x", "positions"}, {"frequencies"}, {"?attention_factor"});

Shape Rope::shape(const Call& call) {
  const Shape &x = call.reads[0].shape, &positions = call.reads[1].shape, &frequencies = call.weights[0].shape;
  CHECK_SHAPE(call, x.rank == 3, "x is " + x.str() + ", expected [T, H, E]");
  CHECK_SHAPE(call, positions.rank == 1 && positions[0] == x[0],
              "positions is " + positions.str() + ", expected one for each of the " + std::to_string(x[0]) + " tokens");
  CHECK_SHAPE(call, frequencies.rank == 1 && 2 * frequencies[0] <= x[2],
              "frequencies is " + frequencies.str() + ", expected at most half of E = " + std::to_string(x[2]));
  return x;
}

Rope Rope::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  const Tensor &positions = call.reads[1], &frequencies = call.weights[0];
  if (positions.format) throw Error("ArgumentError", std::string(call.who) + ": positions are not integers");
  if (frequencies.format) throw Error("ArgumentError", std::string(call.who) + ": frequencies are not float64");
  for (int64_t t = 0; call.host && t < x[0]; ++t)
    if (positions.i32()[t] < 0)
      throw Error("ArgumentError", std::string(call.who) + ": positions[" + std::to_string(t) + "] is " +
                                       std::to_string(positions.i32()[t]) + ", expected 0 or more");
  return {.x = floats(call, call.reads[0], "x"),
          .positions = positions.i32(),
          .frequencies = static_cast<const double*>(frequencies.data),
          .y = floats(call, call.out, "out"),
          .T = x[0],
          .H = x[1],
          .E = x[2],
          .half = frequencies.shape[0],
          .attention_factor = call.number("attention_factor", 1)};
}

void rope_turns(const Rope& a, int64_t t, float* cosines, float* sines) {
  for (int64_t i = 0; i < a.half; ++i) {
    const double angle = a.positions[t] * a.frequencies[i];
    cosines[i] = static_cast<float>(a.attention_factor * std::cos(angle));
    sines[i] = static_cast<float>(a.attention_factor * std::sin(angle));
  }
}

}  // namespace cutaway
