#include "experts_matmul.h"

namespace cutaway {

static constexpr Kernel<ExpertsMatmul> kernels[] = CUTAWAY_KERNELS(experts_matmul);
extern const Op op_experts_matmul;
const Op op_experts_matmul = make_op<ExpertsMatmul, kernels>("experts_matmul", {"x", "indices"}, {"w", "?bias"}, {});

namespace {

bool is_q8(const Tensor& x) { return x.layout == Layout::q8; }

// Columns of one token in x, over all its rows.
int64_t columns(const Tensor& x) {
  if (is_q8(x)) return x.shape[1] * 32;
  return x.shape.rank == 3 ? x.shape[1] * x.shape[2] : x.shape.last();
}

}  // namespace

Shape ExpertsMatmul::shape(const Call& call) {
  const Tensor &x = call.reads[0], &indices = call.reads[1], &w = call.weights[0];
  CHECK_SHAPE(call, w.layout == Layout::packed && w.shape.rank == 3, "w is not packed experts [X, N, K]");
  check_indices(call, indices, x.shape[0], w.shape[0]);
  const int64_t A = indices.shape[1], K = w.shape[2];
  CHECK_SHAPE(call, columns(x) == K || columns(x) == A * K,
              "x has " + std::to_string(columns(x)) + " columns a token, expected K = " + std::to_string(K) +
                  " or A K = " + std::to_string(A * K));
  CHECK_SHAPE(call, !is_q8(x) || has_codes(*w.format),
              std::string("x is rounded to 8 bits, but w is ") + w.format->name + ", which takes float x");
  if (call.has_weight(1))
    CHECK_SHAPE(
        call, call.weights[1].shape.elements() == w.shape[0] * w.shape[1],
        "bias is " + call.weights[1].shape.str() + ", expected [X, N] = " + Shape({w.shape[0], w.shape[1]}).str());
  return {x.shape[0], A, w.shape[1]};
}

ExpertsMatmul ExpertsMatmul::bind(const Call& call) {
  const Tensor &x = call.reads[0], &indices = call.reads[1], &w = call.weights[0];
  return {.x = is_q8(x) ? nullptr : floats(call, x, "x"),
          .blocks = is_q8(x) ? static_cast<const BlockQ8*>(x.data) : nullptr,
          .indices = indices.i32(),
          .w = static_cast<const std::byte*>(w.data),
          .bias = call.has_weight(1) ? floats(call, call.weights[1], "bias") : nullptr,
          .y = floats(call, call.out, "out"),
          .T = x.shape[0],
          .A = indices.shape[1],
          .X = w.shape[0],
          .N = w.shape[1],
          .K = w.shape[2],
          .own_rows = columns(x) != w.shape[2],
          .format = w.format};
}

}  // namespace cutaway
