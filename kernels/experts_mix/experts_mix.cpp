#include "experts_mix.h"

namespace cutaway {

static constexpr Kernel<ExpertsMix> kernels[] = CUTAWAY_KERNELS(experts_mix);
extern const Op op_experts_mix;
const Op op_experts_mix = make_op<ExpertsMix, kernels>("experts_mix", {"x", "w"}, {}, {});

Shape ExpertsMix::shape(const Call& call) {
  const Shape &x = call.reads[0].shape, &w = call.reads[1].shape;
  CHECK_SHAPE(call, x.rank == 3, "x is " + x.str() + ", expected [T, A, D]");
  CHECK_SHAPE(call, w == Shape({x[0], x[1]}), "w is " + w.str() + ", expected " + Shape({x[0], x[1]}).str());
  return {x[0], x[2]};
}

ExpertsMix ExpertsMix::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  return {.x = floats(call, call.reads[0], "x"),
          .w = floats(call, call.reads[1], "w"),
          .y = floats(call, call.out, "out"),
          .T = x[0],
          .A = x[1],
          .D = x[2]};
}

}  // namespace cutaway
