// gpt-oss: rotary positions with YaRN, a learned sink beside every head's softmax, a window on every second layer, and
// for each token a few of many experts.
//
// Source  OpenAI 2025, gpt-oss model card, arXiv:2508.10925, sec. 2
// Trap    The norm in front of the experts is named post_attention_norm. The router chooses by its logits, then takes
//         the softmax of the chosen ones alone.
#include "graph/builder.h"

namespace cutaway {
namespace {

// Constants of the model's code, which no file holds.
constexpr double kAlpha = 1.702, kLimit = 7;

std::string experts(Builder& g, const std::string& m) {
  const Config& c = g.c;
  const int64_t X = c.experts, A = c.experts_used;
  const std::vector<int64_t> chosen{kTokens, A}, hidden{kTokens, A, c.expert_F}, width{kTokens, A, c.D};
  const auto product = [&](const std::string& part, const std::string& x, const std::string& which,
                           const std::string& tensor, int64_t N, int64_t K, const std::vector<int64_t>& shape,
                           const std::string& axes) {
    std::vector<WeightRef> weights{g.weight(tensor + ".weight", {X, N, K})};
    if (WeightRef bias = g.optional(tensor + ".bias", {X, N}); !bias.tensor.empty()) weights.push_back(bias);
    return g.add("moe.experts." + part, "experts_matmul", {x, which}, weights, {}, shape, axes);
  };
  auto logits = g.matmul("moe.router_logits", m, g.weight("ffn_gate_inp.weight", {X, c.D}),
                         g.optional("ffn_gate_inp.bias", {X}), {kTokens, X}, "T X");
  auto which = g.add("moe.expert_indices", "top_k", {logits}, {}, {{"k", A}}, chosen, "T A");
  auto weights = g.add("moe.expert_weights", "expert_weights", {logits, which}, {}, {}, chosen, "T A");
  auto pre = product("pre", m, which, "ffn_gate_exps", c.expert_F, c.D, hidden, "T A F");
  auto linear = product("pre_linear", m, which, "ffn_up_exps", c.expert_F, c.D, hidden, "T A F");
  auto post = g.add("moe.experts.post", "swiglu_oai", {pre, linear}, {}, {{"alpha", kAlpha}, {"limit", kLimit}}, hidden,
                    "T A F");
  auto out = product("out", post, which, "ffn_down_exps", c.D, c.expert_F, width, "T A D");
  return g.add("mlp.out", "experts_mix", {out, weights}, {}, {}, {kTokens, c.D}, "T D");
}

void add_layer(Builder& g, const std::string& from) {
  auto x = g.same("resid_pre", from);
  auto n = g.rms_norm("ln1", x, "attn_norm");
  g.alias("attn.in", n);
  auto [q, k, v] = g.heads(n);
  const double factor = rope_attention_factor(g.c.rope);
  auto rot_q = g.rope("attn.rot_q", q, "$rope.frequencies", factor);
  auto rot_k = g.rope("attn.rot_k", k, "$rope.frequencies", factor);
  auto out = g.attention_output(g.attention(rot_q, rot_k, v, g.weight("attn_sinks.weight", {g.c.H})));
  auto mid = g.sum("resid_mid", x, g.same("attn.out_post", out));

  auto m = g.rms_norm("ln2", mid, "post_attention_norm");
  g.alias("mlp.in", m);
  g.sum("resid_post", mid, g.same("mlp.out_post", experts(g, m)));
}

Graph build(const Config& c, const File& file) {
  Builder g(c, file);
  g.rope_constants();
  g.unembed(g.rms_norm("ln_final", g.layers(g.embed(), add_layer), "output_norm"));
  return std::move(g.graph);
}

}  // namespace

extern const Architecture arch_gpt_oss;
const Architecture arch_gpt_oss{"gpt-oss", build};

}  // namespace cutaway
