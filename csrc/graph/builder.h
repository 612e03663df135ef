// Builder: how graph/arch/*.cpp write a graph down. Every call adds one stage and returns its name, for the next to
// read.
#pragma once

#include <cmath>

#include "graph/graph.h"
#include "graph/rope.h"

namespace cutaway {

struct Builder {
  const Config& c;
  const File& file;
  Graph graph;
  int layer = -1;

  Builder(const Config& config, const File& f) : c(config), file(f) {
    graph.arch = config.arch;
    graph.L = config.L;
    graph.V = config.V;
    graph.kv_width = config.G * config.E;
  }

  // "attn.q" inside layer 3 is "blocks.3.attn.q".
  std::string name(const std::string& part) const {
    return layer < 0 ? part : "blocks." + std::to_string(layer) + "." + part;
  }

  // A tensor of this layer ("attn_q.weight") or of the file, whole.
  WeightRef weight(const std::string& tensor, Shape shape) const {
    return {
        .tensor = (layer < 0 ? "" : "blk." + std::to_string(layer) + ".") + tensor, .shape = shape, .rows = shape[0]};
  }
  // Empty when the file does not have it.
  WeightRef optional(const std::string& tensor, Shape shape) const {
    WeightRef ref = weight(tensor, shape);
    return file.find(ref.tensor) ? ref : WeightRef{};
  }
  static WeightRef rows(WeightRef ref, int64_t first, int64_t count) {
    ref.first_row = first;
    ref.rows = count;
    return ref;
  }

  std::string add(const std::string& part, const std::string& op, std::vector<std::string> reads,
                  std::vector<WeightRef> weights, Attributes attributes, std::vector<int64_t> shape,
                  const std::string& axes) {
    graph.stages.push_back({.name = name(part),
                            .op = op,
                            .reads = std::move(reads),
                            .weights = std::move(weights),
                            .attributes = std::move(attributes),
                            .shape = std::move(shape),
                            .axes = axes,
                            .cache = "",
                            .layer = layer});
    return graph.stages.back().name;
  }

  Stage& stage(const std::string& full) { return graph.stages[static_cast<size_t>(graph.find(full))]; }

  // The same tensor under a second name, as a stage of its own, so that it can be watched and changed apart.
  std::string same(const std::string& part, const std::string& source) {
    std::vector<int64_t> shape = stage(source).shape;
    std::string axes = stage(source).axes;
    return add(part, "copy", {source}, {}, {}, std::move(shape), axes);
  }

  void alias(const std::string& part, const std::string& full) { graph.aliases[name(part)] = full; }

  std::string matmul(const std::string& part, const std::string& x, WeightRef w, WeightRef bias,
                     std::vector<int64_t> shape, const std::string& axes) {
    std::vector<WeightRef> weights{std::move(w)};
    if (!bias.tensor.empty()) weights.push_back(std::move(bias));
    return add(part, "matmul", {x}, std::move(weights), {}, std::move(shape), axes);
  }

  // The stages scale, normalized, out of an RMSNorm.
  std::string rms_norm(const std::string& part, const std::string& x, const std::string& tensor) {
    auto scale = add(part + ".scale", "rms_scale", {x}, {}, {{"eps", c.eps}}, {kTokens, 1}, "T 1");
    auto normalized = add(part + ".normalized", "rms_normalize", {x, scale}, {}, {}, {kTokens, c.D}, "T D");
    return add(part + ".out", "gain", {normalized}, {weight(tensor + ".weight", {c.D})}, {}, {kTokens, c.D}, "T D");
  }

  // The stages scale, normalized, out of a LayerNorm.
  std::string layer_norm(const std::string& part, const std::string& x, const std::string& tensor) {
    auto scale = add(part + ".scale", "layer_scale", {x}, {}, {{"eps", c.eps}}, {kTokens, 1}, "T 1");
    auto normalized = add(part + ".normalized", "layer_normalize", {x, scale}, {}, {}, {kTokens, c.D}, "T D");
    return add(part + ".out", "gain", {normalized},
               {weight(tensor + ".weight", {c.D}), weight(tensor + ".bias", {c.D})}, {}, {kTokens, c.D}, "T D");
  }

  // An RMSNorm of a block's output, whose result has a name of its own: "attn.out_post" is "ln1_post.out".
  std::string post_norm(const std::string& part, const std::string& result, const std::string& x,
                        const std::string& tensor) {
    auto scale = add(part + ".scale", "rms_scale", {x}, {}, {{"eps", c.eps}}, {kTokens, 1}, "T 1");
    auto normalized = add(part + ".normalized", "rms_normalize", {x, scale}, {}, {}, {kTokens, c.D}, "T D");
    auto out = add(result, "gain", {normalized}, {weight(tensor + ".weight", {c.D})}, {}, {kTokens, c.D}, "T D");
    alias(part + ".out", out);
    return out;
  }

  // An RMSNorm of each head of q or k, one stage.
  std::string head_norm(const std::string& part, const std::string& x, const std::string& tensor) {
    std::vector<int64_t> shape = stage(x).shape;
    std::string axes = stage(x).axes;
    return add(part, "rms_norm", {x}, {weight(tensor + ".weight", {c.E})}, {{"eps", c.eps}}, std::move(shape), axes);
  }

  // q, k and v from three tensors, or from the rows of one fused tensor where the file has that; with the biases that
  // the file has. `pairs`: the rows of q and k lie in adjacent pairs, as GGUF's llama has them.
  struct Heads {
    std::string q, k, v;
  };
  Heads heads(const std::string& x, bool pairs = false) {
    const std::vector<int64_t> q_shape{kTokens, c.H, c.E}, kv_shape{kTokens, c.G, c.E};
    const int64_t HE = c.H * c.E, GE = c.G * c.E, all = HE + 2 * GE;
    const bool fused = file.find(weight("attn_qkv.weight", {}).tensor);
    const auto part = [&](const std::string& letter, int64_t first, int64_t count, int64_t turned) {
      const std::string tensor = fused ? "attn_qkv" : "attn_" + letter;
      const int64_t stored = fused ? all : count;
      std::pair out{weight(tensor + ".weight", {stored, c.D}), optional(tensor + ".bias", {stored})};
      for (WeightRef* ref : {&out.first, &out.second}) {
        if (ref->tensor.empty()) continue;
        if (fused) *ref = rows(*ref, first, count);
        if (pairs) ref->heads = turned;
      }
      return out;
    };
    const auto [wq, bq] = part("q", 0, HE, c.H);
    const auto [wk, bk] = part("k", HE, GE, c.G);
    const auto [wv, bv] = part("v", HE + GE, GE, 0);
    Heads out;
    out.q = matmul("attn.q", x, wq, bq, q_shape, "T H E");
    out.k = matmul("attn.k", x, wk, bk, kv_shape, "T G E");
    out.v = matmul("attn.v", x, wv, bv, kv_shape, "T G E");
    return out;
  }

  // The constant that rope() reads, as the file scales it; with longrope a twin for long sequences beside it.
  void rope_constants() {
    graph.constants["$rope.frequencies"] = rope_frequencies(c.rope, file);
    if (c.rope.scaling != RopeScaling::longrope) return;
    graph.constants["$rope.frequencies.long"] = rope_frequencies(c.rope, file, true);
    graph.long_context = c.rope.original;
  }
  std::string rope(const std::string& part, const std::string& x, const std::string& constant,
                   double attention_factor) {
    const auto pairs = static_cast<int64_t>(graph.constants.at(constant).size());
    Attributes attributes;
    if (attention_factor != 1) attributes.emplace_back("attention_factor", attention_factor);
    std::vector<int64_t> shape = stage(x).shape;
    std::string axes = stage(x).axes;
    return add(part, "rope", {x, "positions"}, {{.tensor = constant, .shape = {pairs}, .rows = pairs}},
               std::move(attributes), std::move(shape), axes);
  }

  // The stages scores, (sink,) pattern, z; the rows of k and v go to the cache.
  std::string attention(const std::string& q, const std::string& k, const std::string& v, const WeightRef& sinks = {}) {
    stage(k).cache = "keys";
    stage(v).cache = "values";
    const std::vector<int64_t> square{kTokens, c.H, kPositions};
    Attributes attributes{{"scale", c.attention_scale}};
    if (const int64_t window = c.window_of(layer)) attributes.emplace_back("window", window);
    auto scores = add("attn.scores", "attention_scores", {q, k}, {}, std::move(attributes), square, "T H S");
    std::vector<WeightRef> of_softmax;
    if (!sinks.tensor.empty()) {
      of_softmax.push_back(sinks);
      add("attn.sink", "attention_sink", {scores}, of_softmax, {}, {kTokens, c.H}, "T H");
    }
    auto pattern = add("attn.pattern", "softmax", {scores}, of_softmax, {}, square, "T H S");
    return add("attn.z", "attention_mix", {pattern, v}, {}, {}, {kTokens, c.H, c.E}, "T H E");
  }

  std::string attention_output(const std::string& z) {
    return matmul("attn.out", z, weight("attn_output.weight", {c.D, c.H * c.E}), optional("attn_output.bias", {c.D}),
                  {kTokens, c.D}, "T D");
  }

  std::string sum(const std::string& part, const std::string& a, const std::string& b) {
    return add(part, "add", {a, b}, {}, {}, {kTokens, c.D}, "T D");
  }

  // mlp.pre, mlp.pre_linear, mlp.post, mlp.out; `activation` is silu_mul or gelu_mul. Without ffn_gate, ffn_up holds
  // the rows of both, the gate's first.
  std::string gated_mlp(const std::string& x, const std::string& activation) {
    const std::vector<int64_t> hidden{kTokens, c.F};
    const bool fused = !file.find(weight("ffn_gate.weight", {}).tensor);
    const WeightRef both = weight("ffn_up.weight", {2 * c.F, c.D});
    const WeightRef gate = fused ? rows(both, 0, c.F) : weight("ffn_gate.weight", {c.F, c.D});
    const WeightRef up = fused ? rows(both, c.F, c.F) : weight("ffn_up.weight", {c.F, c.D});
    auto pre = matmul("mlp.pre", x, gate, optional("ffn_gate.bias", {c.F}), hidden, "T F");
    auto linear = matmul("mlp.pre_linear", x, up, optional("ffn_up.bias", {c.F}), hidden, "T F");
    auto post = add("mlp.post", activation, {pre, linear}, {}, {}, hidden, "T F");
    return matmul("mlp.out", post, weight("ffn_down.weight", {c.D, c.F}), optional("ffn_down.bias", {c.D}),
                  {kTokens, c.D}, "T D");
  }

  std::string embed() {
    return add("embed", "embed", {"tokens"}, {weight("token_embd.weight", {c.V, c.D})}, {}, {kTokens, c.D}, "T D");
  }

  // Every layer in turn from x on; returns the last one's output.
  template <class AddLayer>
  std::string layers(std::string x, AddLayer add_layer) {
    for (layer = 0; layer < c.L; ++layer) {
      add_layer(*this, x);
      x = name("resid_post");
    }
    layer = -1;
    return x;
  }

  // Logits from the last norm's output; a file without a head of its own ties it to the embedding.
  void unembed(const std::string& x) {
    std::string head = file.find("output.weight") ? "output.weight" : "token_embd.weight";
    auto out = matmul("unembed.out", x, weight(head, {c.V, c.D}), {}, {kTokens, c.V}, "T V");
    if (c.logit_softcap == 0) same("logits", out);
    else add("logits", "softcap", {out}, {}, {{"cap", c.logit_softcap}}, {kTokens, c.V}, "T V");
  }
};

}  // namespace cutaway
