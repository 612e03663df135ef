// qwen3: qwen2 with a norm of each head of q and k in front of rope, heads of a width of their own, and no biases.
//
// Source  Yang et al. 2025, arXiv:2505.09388, sec. 2
#include "graph/builder.h"

namespace cutaway {
namespace {

void add_layer(Builder& g, const std::string& from) {
  auto x = g.same("resid_pre", from);
  auto n = g.rms_norm("ln1", x, "attn_norm");
  g.alias("attn.in", n);
  auto [q, k, v] = g.heads(n);
  q = g.head_norm("attn.q_norm", q, "attn_q_norm");
  k = g.head_norm("attn.k_norm", k, "attn_k_norm");
  const double factor = rope_attention_factor(g.c.rope);
  auto rot_q = g.rope("attn.rot_q", q, "$rope.frequencies", factor);
  auto rot_k = g.rope("attn.rot_k", k, "$rope.frequencies", factor);
  auto out = g.attention_output(g.attention(rot_q, rot_k, v));
  auto mid = g.sum("resid_mid", x, g.same("attn.out_post", out));

  auto m = g.rms_norm("ln2", mid, "ffn_norm");
  g.alias("mlp.in", m);
  auto down = g.gated_mlp(m, "silu_mul");
  g.sum("resid_post", mid, g.same("mlp.out_post", down));
}

Graph build(const Config& c, const File& file) {
  Builder g(c, file);
  g.rope_constants();
  g.unembed(g.rms_norm("ln_final", g.layers(g.embed(), add_layer), "output_norm"));
  return std::move(g.graph);
}

}  // namespace

extern const Architecture arch_qwen3;
const Architecture arch_qwen3{"qwen3", build};

}  // namespace cutaway
