#include "attention_mix.h"

namespace cutaway {

static constexpr Kernel<AttentionMix> kernels[] = CUTAWAY_KERNELS(attention_mix);
extern const Op op_attention_mix;
const Op op_attention_mix = make_op<AttentionMix, kernels>("attention_mix", {"pattern", "values"}, {}, {}, true);

Shape AttentionMix::shape(const Call& call) {
  const Shape &pattern = call.reads[0].shape, &values = call.reads[1].shape;
  CHECK_SHAPE(call, pattern.rank == 3, "pattern is " + pattern.str() + ", expected [T, H, S]");
  CHECK_SHAPE(
      call, values.rank == 3 && values[0] == pattern[2],
      "values is " + values.str() + ", expected [S, G, E] with S = " + std::to_string(pattern[2]) + " as in pattern");
  CHECK_SHAPE(call, values[1] > 0 && pattern[1] % values[1] == 0,
              "pattern has " + std::to_string(pattern[1]) + " heads and values " + std::to_string(values[1]) +
                  ", expected a multiple: each value head serves equally many query heads");
  return {pattern[0], pattern[1], values[2]};
}

AttentionMix AttentionMix::bind(const Call& call) {
  const Shape& pattern = call.reads[0].shape;
  return {.pattern = floats(call, call.reads[0], "pattern"),
          .values = cached(call, call.reads[1], "values"),
          .z = floats(call, call.out, "out"),
          .T = pattern[0],
          .H = pattern[1]};
}

}  // namespace cutaway
