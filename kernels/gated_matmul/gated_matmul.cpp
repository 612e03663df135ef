#include "gated_matmul.h"

namespace cutaway {

static constexpr Kernel<GatedMatmul> kernels[] = CUTAWAY_KERNELS(gated_matmul);
extern const Op op_gated_matmul;
const Op op_gated_matmul = make_op<GatedMatmul, kernels>("gated_matmul", {"x"}, {"gate", "up"}, {});

namespace {

// The call of one of the two products.
Call half(const Call& call, size_t which) {
  Call one = call;
  one.weights = call.weights.subspan(which, 1);
  return one;
}

}  // namespace

Shape GatedMatmul::shape(const Call& call) {
  Shape gate = Matmul::shape(half(call, 0)), up = Matmul::shape(half(call, 1));
  CHECK_SHAPE(call, gate == up, "gate gives " + gate.str() + ", up gives " + up.str());
  return gate;
}

GatedMatmul GatedMatmul::bind(const Call& call) {
  return {.gate = Matmul::bind(half(call, 0)), .up = Matmul::bind(half(call, 1)), .y = call.out.f32()};
}

}  // namespace cutaway
