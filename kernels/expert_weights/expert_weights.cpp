#include "expert_weights.h"

namespace cutaway {

static constexpr Kernel<ExpertWeights> kernels[] = CUTAWAY_KERNELS(expert_weights);
extern const Op op_expert_weights;
const Op op_expert_weights = make_op<ExpertWeights, kernels>("expert_weights", {"x", "indices"}, {}, {});

Shape ExpertWeights::shape(const Call& call) {
  const Shape &x = call.reads[0].shape, &indices = call.reads[1].shape;
  CHECK_SHAPE(call, x.rank == 2, "x is " + x.str() + ", expected [T, X]");
  check_indices(call, call.reads[1], x[0], x[1]);
  return indices;
}

ExpertWeights ExpertWeights::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  return {.x = floats(call, call.reads[0], "x"),
          .indices = call.reads[1].i32(),
          .w = floats(call, call.out, "out"),
          .T = x[0],
          .X = x[1],
          .A = call.reads[1].shape[1]};
}

}  // namespace cutaway
