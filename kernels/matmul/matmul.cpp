#include "matmul.h"

namespace cutaway {

static constexpr Kernel<Matmul> kernels[] = CUTAWAY_KERNELS(matmul);
extern const Op op_matmul;
const Op op_matmul = make_op<Matmul, kernels>("matmul", {"x"}, {"w", "?bias"}, {});

namespace {

bool is_q8(const Tensor& x) { return x.layout == Layout::q8; }

int64_t columns(const Tensor& x) {
  int64_t T = x.shape[0];
  return is_q8(x) ? x.shape[1] * 32 : T ? x.shape.elements() / T : x.shape.last();
}

}  // namespace

Shape Matmul::shape(const Call& call) {
  const Tensor &x = call.reads[0], &w = call.weights[0];
  CHECK_SHAPE(call, w.layout == Layout::packed, "w is not packed");
  CHECK_SHAPE(call, columns(x) == w.shape[1],
              "x has rows of " + std::to_string(columns(x)) + ", w is [N, K] = " + w.shape.str());
  CHECK_SHAPE(call, !is_q8(x) || has_codes(*w.format),
              std::string("x is rounded to 8 bits, but w is ") + w.format->name + ", which takes float x");
  if (call.weights.size() > 1 && call.weights[1].data)
    CHECK_SHAPE(call, call.weights[1].shape.elements() == w.shape[0],
                "bias is " + call.weights[1].shape.str() + ", expected [N] = [" + std::to_string(w.shape[0]) + "]");
  return {x.shape[0], w.shape[0]};
}

Matmul Matmul::bind(const Call& call) {
  const Tensor &x = call.reads[0], &w = call.weights[0];
  return {.x = is_q8(x) ? nullptr : x.f32(),
          .blocks = is_q8(x) ? static_cast<const BlockQ8*>(x.data) : nullptr,
          .w = static_cast<const std::byte*>(w.data),
          .bias = call.weights.size() > 1 ? call.weights[1].f32() : nullptr,
          .y = call.out.f32(),
          .T = x.shape[0],
          .N = w.shape[0],
          .K = w.shape[1],
          .format = w.format};
}

}  // namespace cutaway
