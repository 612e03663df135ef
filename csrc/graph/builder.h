// Builder: how graph/arch/*.cpp write a graph down. Every call adds one stage and returns its name, for the next to
// read.
#pragma once

#include "graph/graph.h"

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

  // The stages scores, pattern, z; the rows of k and v go to the cache.
  std::string attention(const std::string& q, const std::string& k, const std::string& v, double scale) {
    stage(k).cache = "keys";
    stage(v).cache = "values";
    const std::vector<int64_t> square{kTokens, c.H, kPositions};
    auto scores = add("attn.scores", "attention_scores", {q, k}, {}, {{"scale", scale}}, square, "T H S");
    auto pattern = add("attn.pattern", "softmax", {scores}, {}, {}, square, "T H S");
    return add("attn.z", "attention_mix", {pattern, v}, {}, {}, {kTokens, c.H, c.E}, "T H E");
  }

  // Logits from the last norm's output; a file without a head of its own ties it to the embedding.
  void unembed(const std::string& x) {
    std::string head = file.find("output.weight") ? "output.weight" : "token_embd.weight";
    same("logits", matmul("unembed.out", x, weight(head, {c.V, c.D}), {}, {kTokens, c.V}, "T V"));
  }
};

}  // namespace cutaway
