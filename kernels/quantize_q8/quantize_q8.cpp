#include "quantize_q8.h"

namespace cutaway {

static constexpr Kernel<QuantizeQ8> kernels[] = CUTAWAY_KERNELS(quantize_q8);
extern const Op op_quantize_q8;
const Op op_quantize_q8 = make_op<QuantizeQ8, kernels>("quantize_q8", {"x"}, {}, {});

Shape QuantizeQ8::shape(const Call& call) {
  const Shape& x = call.reads[0].shape;
  int64_t K = x[0] ? x.elements() / x[0] : 0;
  CHECK_SHAPE(call, K % 32 == 0, "x is " + x.str() + ", expected rows of a multiple of 32 elements");
  return {x[0], K / 32, static_cast<int64_t>(sizeof(BlockQ8) / sizeof(float))};
}

QuantizeQ8 QuantizeQ8::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  return {.x = call.reads[0].f32(),
          .y = static_cast<BlockQ8*>(call.out.data),
          .T = x[0],
          .K = x.elements() / x[0],
          .behind = call.behind};
}

}  // namespace cutaway
