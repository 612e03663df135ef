#include "softcap.h"

namespace cutaway {

static constexpr Kernel<Softcap> kernels[] = CUTAWAY_KERNELS(softcap);
extern const Op op_softcap;
const Op op_softcap = make_op<Softcap, kernels>("softcap", {"x"}, {}, {"cap"});

Shape Softcap::shape(const Call& call) { return call.reads[0].shape; }

Softcap Softcap::bind(const Call& call) {
  const float cap = finite(call, "cap");
  if (!(cap > 0))
    throw Error("ArgumentError",
                std::string(call.who) + ": cap is " + std::to_string(cap) + ", expected a number above 0");
  return {.x = floats(call, call.reads[0], "x"),
          .y = floats(call, call.out, "out"),
          .n = call.reads[0].shape.elements(),
          .cap = cap};
}

}  // namespace cutaway
