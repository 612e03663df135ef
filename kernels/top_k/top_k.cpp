#include "top_k.h"

namespace cutaway {

static constexpr Kernel<TopK> kernels[] = CUTAWAY_KERNELS(top_k);
extern const Op op_top_k;
const Op op_top_k = make_op<TopK, kernels>("top_k", {"x"}, {}, {"k"});

Shape TopK::shape(const Call& call) {
  const Shape& x = call.reads[0].shape;
  const double k = call.number("k", 0);
  CHECK_SHAPE(call, x.rank == 2, "x is " + x.str() + ", expected [T, X]");
  if (!(k >= 1 && k <= static_cast<double>(x[1])))
    throw Error("ArgumentError", std::string(call.who) + ": k is " + std::to_string(k) + ", expected 1 to " +
                                     std::to_string(x[1]) + ", the columns of x");
  return {x[0], static_cast<int64_t>(k)};
}

TopK TopK::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  return {.x = floats(call, call.reads[0], "x"),
          .indices = static_cast<int32_t*>(call.out.data),
          .T = x[0],
          .X = x[1],
          .k = static_cast<int64_t>(call.number("k", 0))};
}

}  // namespace cutaway
