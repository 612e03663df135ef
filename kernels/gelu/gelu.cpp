#include "gelu.h"

namespace cutaway {

static constexpr Kernel<Gelu> kernels[] = CUTAWAY_KERNELS(gelu);
extern const Op op_gelu;
const Op op_gelu = make_op<Gelu, kernels>("gelu", {"x"}, {}, {});

Shape Gelu::shape(const Call& call) { return call.reads[0].shape; }

Gelu Gelu::bind(const Call& call) {
  return {
      .x = floats(call, call.reads[0], "x"), .y = floats(call, call.out, "out"), .n = call.reads[0].shape.elements()};
}

}  // namespace cutaway
