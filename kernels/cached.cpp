#include "cached.h"

#include <cmath>

#include "formats/f16/f16.h"
#include "formats/f32/f32.h"

namespace cutaway {

Cached cached(const Call& call, const Tensor& tensor, const char* name) {
  if (tensor.format != &format_f32 && tensor.format != &format_f16)
    throw Error("ArgumentError", std::string(call.who) + ": " + name + " is " +
                                     (tensor.format ? tensor.format->name : "integers") + ", expected f32 or f16");
  const Shape& shape = tensor.shape;
  return {tensor.data, tensor.format == &format_f16, shape[0], shape[1], shape[2]};
}

void check_queries(const Call& call, const Shape& q, const Shape& keys) {
  CHECK_SHAPE(call, q.rank == 3, "q is " + q.str() + ", expected [T, H, E]");
  CHECK_SHAPE(call, keys.rank == 3 && keys[2] == q[2],
              "keys is " + keys.str() + ", expected [S, G, E] with E = " + std::to_string(q[2]) + " as in q");
  CHECK_SHAPE(call, keys[1] > 0 && q[1] % keys[1] == 0,
              "q has " + std::to_string(q[1]) + " heads and keys " + std::to_string(keys[1]) +
                  ", expected a multiple: each key head serves equally many query heads");
  CHECK_SHAPE(call, keys[0] >= q[0],
              "keys has " + std::to_string(keys[0]) + " positions, expected at least the " + std::to_string(q[0]) +
                  " of q, which are the last of them");
}

float attention_scale(const Call& call) {
  const double scale = call.number("scale", std::nan(""));
  if (std::isfinite(scale)) return static_cast<float>(scale);
  throw Error("ArgumentError", std::string(call.who) + ": scale is missing or not finite", "usually 1 / sqrt(E)");
}

int64_t attention_window(const Call& call) {
  const double window = call.number("window", 0);
  if (window >= 0 && window <= 0x1p53 && window == std::floor(window)) return static_cast<int64_t>(window);
  throw Error("ArgumentError", std::string(call.who) + ": window is " + std::to_string(window) +
                                   ", expected a whole number of positions, 0 for none");
}

ToF16* to_f16_at(const std::string& target) {
  static constexpr struct {
    const char* target;
    ToF16* run;
  } kernels[] = CUTAWAY_KERNELS(to_f16);
  for (const auto& kernel : kernels)
    if (target == kernel.target) return kernel.run;
  return scalar::to_f16;
}

}  // namespace cutaway
