#include "embed.h"

namespace cutaway {

static constexpr Kernel<Embed> kernels[] = CUTAWAY_KERNELS(embed);
extern const Op op_embed;
const Op op_embed = make_op<Embed, kernels>("embed", {"ids"}, {"w"}, {});

Shape Embed::shape(const Call& call) {
  const Tensor &ids = call.reads[0], &w = call.weights[0];
  CHECK_SHAPE(call, w.layout == Layout::packed, "w is not packed");
  CHECK_SHAPE(call, ids.format == nullptr, "ids are not int32");
  return {ids.shape.elements(), w.shape[1]};
}

Embed Embed::bind(const Call& call) {
  const Tensor &ids = call.reads[0], &w = call.weights[0];
  Embed a{.ids = ids.i32(),
          .table = w.data,
          .y = call.out.f32(),
          .T = ids.shape.elements(),
          .V = w.shape[0],
          .D = w.shape[1],
          .format = w.format};
  for (int64_t t = 0; call.host && t < a.T; ++t)
    if (a.ids[t] < 0 || a.ids[t] >= a.V)
      throw Error("InvalidTokenId",
                  std::string(call.who) + ": ids[" + std::to_string(t) + "] is " + std::to_string(a.ids[t]) +
                      ", expected 0 <= id < " + std::to_string(a.V),
                  "", {{"index", t}, {"value", int64_t{a.ids[t]}}});
  return a;
}

}  // namespace cutaway
