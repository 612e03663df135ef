// gpt2: LayerNorm, learned positions, multi-head attention from one fused biased projection, GELU in its tanh form.
//
// Source  Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", sec. 2.3
#include <cmath>

#include "graph/builder.h"

namespace cutaway {
namespace {

void add_layer(Builder& g, const std::string& from) {
  const Config& c = g.c;
  const std::vector<int64_t> heads{kTokens, c.H, c.E}, width{kTokens, c.D}, hidden{kTokens, c.F};
  const int64_t HE = c.H * c.E;
  const WeightRef w = g.weight("attn_qkv.weight", {3 * HE, c.D}), b = g.weight("attn_qkv.bias", {3 * HE});

  auto x = g.layer == 0 ? from : g.same("resid_pre", from);
  auto n = g.layer_norm("ln1", x, "attn_norm");
  g.alias("attn.in", n);
  auto q = g.matmul("attn.q", n, g.rows(w, 0, HE), g.rows(b, 0, HE), heads, "T H E");
  auto k = g.matmul("attn.k", n, g.rows(w, HE, HE), g.rows(b, HE, HE), heads, "T H E");
  auto v = g.matmul("attn.v", n, g.rows(w, 2 * HE, HE), g.rows(b, 2 * HE, HE), heads, "T H E");
  auto z = g.attention(q, k, v, 1.0 / std::sqrt(static_cast<double>(c.E)));
  auto out = g.matmul("attn.out", z, g.weight("attn_output.weight", {c.D, HE}), g.weight("attn_output.bias", {c.D}),
                      width, "T D");
  auto mid = g.add("resid_mid", "add", {x, g.same("attn.out_post", out)}, {}, {}, width, "T D");

  auto m = g.layer_norm("ln2", mid, "ffn_norm");
  g.alias("mlp.in", m);
  auto pre =
      g.matmul("mlp.pre", m, g.weight("ffn_up.weight", {c.F, c.D}), g.weight("ffn_up.bias", {c.F}), hidden, "T F");
  auto post = g.add("mlp.post", "gelu", {pre}, {}, {}, hidden, "T F");
  auto down = g.matmul("mlp.out", post, g.weight("ffn_down.weight", {c.D, c.F}), g.weight("ffn_down.bias", {c.D}),
                       width, "T D");
  g.add("resid_post", "add", {mid, g.same("mlp.out_post", down)}, {}, {}, width, "T D");
}

Graph build(const Config& c, const File& file) {
  Builder g(c, file);
  const std::vector<int64_t> width{kTokens, c.D};
  auto tokens = g.add("embed", "embed", {"tokens"}, {g.weight("token_embd.weight", {c.V, c.D})}, {}, width, "T D");
  auto places = g.add("pos_embed", "embed", {"positions"}, {g.weight("position_embd.weight", {c.context, c.D})}, {},
                      width, "T D");
  g.layer = 0;
  auto x = g.add("resid_pre", "add", {tokens, places}, {}, {}, width, "T D");
  for (; g.layer < c.L; ++g.layer) {
    add_layer(g, x);
    x = g.name("resid_post");
  }
  g.layer = -1;
  g.unembed(g.layer_norm("ln_final", x, "output_norm"));
  return std::move(g.graph);
}

}  // namespace

extern const Architecture arch_gpt2;
const Architecture arch_gpt2{"gpt2", build};

}  // namespace cutaway
