// llama: RMSNorm, rotary positions, grouped-query attention, gated feed-forward with SiLU.
//
// Source  Touvron et al. 2023, arXiv:2302.13971, sec. 2.2; rope_freqs.weight divides the frequencies (Llama 3's
// scaling) Trap    GGUF stores the rows of q and k with each head's two halves interleaved; here they are put into
// halves, as
//         Hugging Face has them.
#include "graph/builder.h"

namespace cutaway {
namespace {

void add_layer(Builder& g, const std::string& from) {
  auto x = g.same("resid_pre", from);
  auto n = g.rms_norm("ln1", x, "attn_norm");
  g.alias("attn.in", n);
  auto [q, k, v] = g.heads(n, true);
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

extern const Architecture arch_llama;
const Architecture arch_llama{"llama", build};

}  // namespace cutaway
