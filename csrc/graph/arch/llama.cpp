// llama: RMSNorm, rotary positions, grouped-query attention, gated feed-forward with SiLU.
//
// Source  Touvron et al. 2023, arXiv:2302.13971, sec. 2.2; rope_freqs.weight divides the frequencies (Llama 3's
// scaling) Trap    GGUF stores the rows of q and k with each head's two halves interleaved; here they are put into
// halves, as
//         Hugging Face has them.
#include <cmath>

#include "formats/format.h"
#include "graph/builder.h"

namespace cutaway {
namespace {

// Radians per position of each pair: base^(-2i / r), divided by the file's factors where it has them.
std::vector<double> frequencies(const Config& c, const File& file) {
  std::vector<double> f(static_cast<size_t>(c.rope_width / 2));
  for (size_t i = 0; i < f.size(); ++i)
    f[i] = std::pow(c.rope_base, -2.0 * static_cast<double>(i) / static_cast<double>(c.rope_width)) / c.rope_factor;
  const TensorInfo* tensor = file.find("rope_freqs.weight");
  if (!tensor) return f;
  std::vector<float> factors(f.size());
  if (tensor->shape.elements() != c.rope_width / 2 || !tensor->format || tensor->format->payload != Payload::f32)
    throw Error("MappingError", file.parts[0] + ": rope_freqs.weight is " + tensor->shape.str() + ", expected f32 [" +
                                    std::to_string(c.rope_width / 2) + "], half of rope.dimension_count");
  file.read(*tensor, 0, factors.size() * sizeof(float), factors.data());
  for (size_t i = 0; i < f.size(); ++i) {
    if (!(factors[i] > 0))
      throw Error("ConfigError", file.parts[0] + ": rope_freqs.weight[" + std::to_string(i) + "] is not above 0");
    f[i] /= factors[i];
  }
  return f;
}

void add_layer(Builder& g, const std::string& from) {
  const Config& c = g.c;
  const std::vector<int64_t> q_shape{kTokens, c.H, c.E}, kv_shape{kTokens, c.G, c.E};
  const std::vector<int64_t> width{kTokens, c.D}, hidden{kTokens, c.F};
  const WeightRef turns{.tensor = "$rope.frequencies", .shape = {c.rope_width / 2}, .rows = c.rope_width / 2};
  auto halves = [](WeightRef ref, int64_t heads) {
    if (!ref.tensor.empty()) ref.heads = heads;
    return ref;
  };

  auto x = g.same("resid_pre", from);
  auto n = g.rms_norm("ln1", x, "attn_norm");
  g.alias("attn.in", n);
  auto q = g.matmul("attn.q", n, halves(g.weight("attn_q.weight", {c.H * c.E, c.D}), c.H),
                    halves(g.optional("attn_q.bias", {c.H * c.E}), c.H), q_shape, "T H E");
  auto k = g.matmul("attn.k", n, halves(g.weight("attn_k.weight", {c.G * c.E, c.D}), c.G),
                    halves(g.optional("attn_k.bias", {c.G * c.E}), c.G), kv_shape, "T G E");
  auto v = g.matmul("attn.v", n, g.weight("attn_v.weight", {c.G * c.E, c.D}), g.optional("attn_v.bias", {c.G * c.E}),
                    kv_shape, "T G E");
  auto rot_q = g.add("attn.rot_q", "rope", {q, "positions"}, {turns}, {}, q_shape, "T H E");
  auto rot_k = g.add("attn.rot_k", "rope", {k, "positions"}, {turns}, {}, kv_shape, "T G E");
  auto z = g.attention(rot_q, rot_k, v, 1.0 / std::sqrt(static_cast<double>(c.E)));
  auto out = g.matmul("attn.out", z, g.weight("attn_output.weight", {c.D, c.H * c.E}),
                      g.optional("attn_output.bias", {c.D}), width, "T D");
  auto mid = g.add("resid_mid", "add", {x, g.same("attn.out_post", out)}, {}, {}, width, "T D");

  auto m = g.rms_norm("ln2", mid, "ffn_norm");
  g.alias("mlp.in", m);
  auto pre = g.matmul("mlp.pre", m, g.weight("ffn_gate.weight", {c.F, c.D}), g.optional("ffn_gate.bias", {c.F}), hidden,
                      "T F");
  auto pre_linear = g.matmul("mlp.pre_linear", m, g.weight("ffn_up.weight", {c.F, c.D}),
                             g.optional("ffn_up.bias", {c.F}), hidden, "T F");
  auto post = g.add("mlp.post", "silu_mul", {pre, pre_linear}, {}, {}, hidden, "T F");
  auto down = g.matmul("mlp.out", post, g.weight("ffn_down.weight", {c.D, c.F}), g.optional("ffn_down.bias", {c.D}),
                       width, "T D");
  g.add("resid_post", "add", {mid, g.same("mlp.out_post", down)}, {}, {}, width, "T D");
}

Graph build(const Config& c, const File& file) {
  Builder g(c, file);
  g.graph.constants["$rope.frequencies"] = frequencies(c, file);
  auto x = g.add("embed", "embed", {"tokens"}, {g.weight("token_embd.weight", {c.V, c.D})}, {}, {kTokens, c.D}, "T D");
  for (g.layer = 0; g.layer < c.L; ++g.layer) {
    add_layer(g, x);
    x = g.name("resid_post");
  }
  g.layer = -1;
  g.unembed(g.rms_norm("ln_final", x, "output_norm"));
  return std::move(g.graph);
}

}  // namespace

extern const Architecture arch_llama;
const Architecture arch_llama{"llama", build};

}  // namespace cutaway
