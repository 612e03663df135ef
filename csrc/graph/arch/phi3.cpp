// phi3: llama with q, k, v in one tensor and gate and up in another, a window on every layer where the file has one,
// and factors for long sequences (longrope).
//
// Source  Abdin et al. 2024, arXiv:2404.14219, sec. 2; longrope: Ding et al. 2024, arXiv:2402.13753
// Trap    The fused feed-forward tensor is named ffn_up: rows of the gate first. llama.cpp ignores the window.
#include "graph/builder.h"

namespace cutaway {
namespace {

void add_layer(Builder& g, const std::string& from) {
  auto x = g.same("resid_pre", from);
  auto n = g.rms_norm("ln1", x, "attn_norm");
  g.alias("attn.in", n);
  auto [q, k, v] = g.heads(n);
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

extern const Architecture arch_phi3;
const Architecture arch_phi3{"phi3", build};

}  // namespace cutaway
