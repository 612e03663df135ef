// gemma3: scaled embedding, norms before and behind both blocks, a norm of each head of q and k, GELU in the gate; five
// layers with a window and a rope base of their own to every one that sees everything.
//
// Source  Gemma Team 2025, arXiv:2503.19786, sec. 2
// Trap    GGUF's norm weights hold 1 + w already. `embed` is the bare row, resid_pre of block 0 the scaled one.
#include "graph/builder.h"

namespace cutaway {
namespace {

void add_layer(Builder& g, const std::string& from) {
  const Config& c = g.c;
  auto x = g.layer == 0 ? from : g.same("resid_pre", from);
  auto n = g.rms_norm("ln1", x, "attn_norm");
  g.alias("attn.in", n);
  auto [q, k, v] = g.heads(n);
  q = g.head_norm("attn.q_norm", q, "attn_q_norm");
  k = g.head_norm("attn.k_norm", k, "attn_k_norm");
  const bool local = c.window_of(g.layer);
  const std::string turns = local ? "$rope.local_frequencies" : "$rope.frequencies";
  const double factor = local ? 1 : rope_attention_factor(c.rope);
  auto rot_q = g.rope("attn.rot_q", q, turns, factor);
  auto rot_k = g.rope("attn.rot_k", k, turns, factor);
  auto out = g.attention_output(g.attention(rot_q, rot_k, v));
  auto mid = g.sum("resid_mid", x, g.post_norm("ln1_post", "attn.out_post", out, "post_attention_norm"));

  auto m = g.rms_norm("ln2", mid, "ffn_norm");
  g.alias("mlp.in", m);
  auto down = g.gated_mlp(m, "gelu_mul");
  g.sum("resid_post", mid, g.post_norm("ln2_post", "mlp.out_post", down, "post_ffw_norm"));
}

Graph build(const Config& c, const File& file) {
  Builder g(c, file);
  g.rope_constants();
  g.graph.constants["$rope.local_frequencies"] = rope_waves(c.local_rope_base, c.rope.width);  // never stretched
  auto tokens = g.embed();
  g.layer = 0;
  auto x = g.add("resid_pre", "scale", {tokens}, {}, {{"factor", std::sqrt(static_cast<double>(c.D))}}, {kTokens, c.D},
                 "T D");
  g.unembed(g.rms_norm("ln_final", g.layers(x, add_layer), "output_norm"));
  return std::move(g.graph);
}

}  // namespace

extern const Architecture arch_gemma3;
const Architecture arch_gemma3{"gemma3", build};

}  // namespace cutaway
