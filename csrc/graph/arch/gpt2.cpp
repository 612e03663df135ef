// gpt2: LayerNorm, learned positions, multi-head attention from one fused biased projection, GELU in its tanh form.
//
// Source  Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", sec. 2.3
#include "graph/builder.h"

namespace cutaway {
namespace {

void add_layer(Builder& g, const std::string& from) {
  const Config& c = g.c;
  const std::vector<int64_t> hidden{kTokens, c.F};
  auto x = g.layer == 0 ? from : g.same("resid_pre", from);
  auto n = g.layer_norm("ln1", x, "attn_norm");
  g.alias("attn.in", n);
  auto [q, k, v] = g.heads(n);
  auto out = g.attention_output(g.attention(q, k, v));
  auto mid = g.sum("resid_mid", x, g.same("attn.out_post", out));

  auto m = g.layer_norm("ln2", mid, "ffn_norm");
  g.alias("mlp.in", m);
  auto pre =
      g.matmul("mlp.pre", m, g.weight("ffn_up.weight", {c.F, c.D}), g.weight("ffn_up.bias", {c.F}), hidden, "T F");
  auto post = g.add("mlp.post", "gelu", {pre}, {}, {}, hidden, "T F");
  auto down = g.matmul("mlp.out", post, g.weight("ffn_down.weight", {c.D, c.F}), g.weight("ffn_down.bias", {c.D}),
                       {kTokens, c.D}, "T D");
  g.sum("resid_post", mid, g.same("mlp.out_post", down));
}

Graph build(const Config& c, const File& file) {
  Builder g(c, file);
  auto tokens = g.embed();
  auto places = g.add("pos_embed", "embed", {"positions"}, {g.weight("position_embd.weight", {c.context, c.D})}, {},
                      {kTokens, c.D}, "T D");
  g.layer = 0;
  auto x = g.sum("resid_pre", tokens, places);
  g.unembed(g.layer_norm("ln_final", g.layers(x, add_layer), "output_norm"));
  return std::move(g.graph);
}

}  // namespace

extern const Architecture arch_gpt2;
const Architecture arch_gpt2{"gpt2", build};

}  // namespace cutaway
