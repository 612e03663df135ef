#include <algorithm>

#include "graph/plan.h"

namespace cutaway {
namespace {

constexpr const char* kTap = "@act_q8";

struct Fuser {
  const Graph& graph;
  const FuseOptions& options;
  Plan plan;
  std::unordered_map<std::string, int> readers;  // how many stages read a tensor

  Fuser(const Graph& g, const FuseOptions& o) : graph(g), options(o) {
    for (const Stage& stage : graph.stages)
      for (const std::string& read : stage.reads) ++readers[read];
  }

  const Stage& at(size_t i) const { return graph.stages[i]; }
  bool is(size_t i, const char* op) const { return i < graph.stages.size() && at(i).op == op; }
  // Stage i feeds only the stages between it and the end of its chain, so its tensor can stay hidden.
  bool hidden(size_t i, int uses) const { return readers.at(at(i).name) == uses && at(i).cache.empty(); }

  // scale, normalized, gain -> rms_norm or layer_norm
  bool norm(size_t i) {
    bool rms = is(i, "rms_scale") && is(i + 1, "rms_normalize"),
         layer = is(i, "layer_scale") && is(i + 1, "layer_normalize");
    if (!(rms || layer) || !is(i + 2, "gain")) return false;
    if (at(i + 1).reads != std::vector<std::string>{at(i).reads[0], at(i).name} || at(i + 2).reads[0] != at(i + 1).name)
      return false;
    if (!hidden(i, 1) || !hidden(i + 1, 1) || (rms && at(i + 2).weights.size() > 1)) return false;
    emit(rms ? "rms_norm" : "layer_norm", i, 3, {at(i).reads[0]}, at(i + 2).weights, at(i).attributes);
    return true;
  }

  // scores, (sink,) pattern, z -> attention
  bool attention(size_t i) {
    const bool sink = is(i + 1, "attention_sink");
    const size_t pattern = i + (sink ? 2 : 1), z = pattern + 1;
    if (!is(i, "attention_scores") || !is(pattern, "softmax") || !is(z, "attention_mix")) return false;
    if (sink &&
        (at(i + 1).reads[0] != at(i).name || at(i + 1).weights != at(pattern).weights || readers.count(at(i + 1).name)))
      return false;
    if (at(pattern).reads[0] != at(i).name || at(z).reads[0] != at(pattern).name || !hidden(i, sink ? 2 : 1) ||
        !hidden(pattern, 1))
      return false;
    emit("attention", i, z - i + 1, {at(i).reads[0], at(i).reads[1], at(z).reads[1]}, at(pattern).weights,
         at(i).attributes);
    return true;
  }

  // gate and up projections of the same input, silu_mul -> gated_matmul
  bool gated(size_t i) {
    if (!is(i, "matmul") || !is(i + 1, "matmul") || !is(i + 2, "silu_mul")) return false;
    if (at(i).reads != at(i + 1).reads || at(i + 2).reads != std::vector<std::string>{at(i).name, at(i + 1).name})
      return false;
    if (!hidden(i, 1) || !hidden(i + 1, 1) || at(i).weights.size() > 1 || at(i + 1).weights.size() > 1) return false;
    if (q8(at(i)) != q8(at(i + 1))) return false;
    emit("gated_matmul", i, 3, {input(at(i))}, {at(i).weights[0], at(i + 1).weights[0]}, {});
    return true;
  }

  bool q8(const Stage& stage) const { return is_product(stage) && options.takes_q8(stage.weights[0]); }

  // The name a product reads: the stage itself, or its rounded blocks, made once for all that want them.
  std::string input(const Stage& stage) {
    const std::string& read = stage.reads[0];
    if (!q8(stage)) return read;
    std::string tap = read + kTap;
    if (plan.places.count(tap)) return tap;
    const int64_t blocks = plan.places.at(plan.owner(read)).floats / 32;
    plan.places[tap] = {.shape = {kTokens, blocks, 12}, .floats = blocks * 12, .q8 = true};
    const Step& before = plan.steps.back();
    const bool behind = before.writes == read && before.op == find_op("gated_matmul");
    plan.steps.push_back({find_op("quantize_q8"), tap, {}, {read}, {}, {}, behind});
    return tap;
  }

  void emit(const char* op, size_t first, size_t count, std::vector<std::string> reads, std::vector<WeightRef> weights,
            Attributes attributes) {
    const Stage& last = at(first + count - 1);
    Step step{find_op(op), last.name, {}, std::move(reads), std::move(weights), std::move(attributes)};
    for (size_t i = first; i < first + count; ++i) step.covers.push_back(static_cast<int>(i));
    plan.steps.push_back(std::move(step));
    place(last);
  }

  void place(const Stage& stage) {
    Place p{.shape = stage.shape, .integers = find_op(stage.op)->integers};
    p.floats = 1;
    for (int64_t n : stage.shape) {
      if (n == kPositions) p.square = true;
      else if (n != kTokens) p.floats *= n;
    }
    plan.places[stage.name] = p;
  }

  void single(size_t i) {
    const Stage& stage = at(i);
    if (stage.op == "copy" && options.fuse && !options.own_copies && stage.cache.empty()) {
      plan.same[stage.name] = stage.reads[0];
      plan.steps.push_back({find_op("copy"), stage.name, {static_cast<int>(i)}, stage.reads, {}, {}});
      return;
    }
    std::vector<std::string> reads = stage.reads;
    if (is_product(stage)) reads[0] = input(stage);
    plan.steps.push_back(
        {find_op(stage.op), stage.name, {static_cast<int>(i)}, std::move(reads), stage.weights, stage.attributes});
    place(stage);
  }

  // First-fit over the time each tensor is needed, in floats per token, each rounded up to a cache line.
  void lay_out() {
    std::unordered_map<std::string, size_t> last;
    for (size_t i = 0; i < plan.steps.size(); ++i) {
      // What runs behind the step writes while the step still reads.
      const size_t until = i + 1 < plan.steps.size() && plan.steps[i + 1].behind ? i + 1 : i;
      for (const std::string& read : plan.steps[i].reads) last[plan.owner(read)] = until;
      // A hidden stage that is computed beside reads what its own stage reads.
      if (plan.steps[i].covers.size() > 1)
        for (int c : plan.steps[i].covers)
          for (const std::string& read : at(static_cast<size_t>(c)).reads) last[plan.owner(read)] = until;
      last.try_emplace(plan.owner(plan.steps[i].writes), i);
    }
    last[plan.owner(graph.stages.back().name)] = plan.steps.size();
    struct Live {
      int64_t offset, floats;
      size_t until;
    };
    std::vector<Live> live;
    for (size_t i = 0; i < plan.steps.size(); ++i) {
      auto it = plan.places.find(plan.steps[i].writes);
      if (it == plan.places.end() || it->second.square) continue;
      std::erase_if(live, [&](const Live& l) { return l.until < i; });
      std::sort(live.begin(), live.end(), [](const Live& a, const Live& b) { return a.offset < b.offset; });
      const int64_t need = (it->second.floats + 15) / 16 * 16;
      int64_t offset = 0;
      for (const Live& l : live) {
        if (offset + need <= l.offset) break;
        offset = std::max(offset, l.offset + l.floats);
      }
      it->second.offset = offset;
      live.push_back({offset, need, last[it->first]});
      plan.arena_floats = std::max(plan.arena_floats, offset + need);
    }
  }

  Plan run() {
    for (size_t i = 0; i < graph.stages.size();) {
      if (options.fuse && (norm(i) || attention(i) || gated(i))) i += plan.steps.back().covers.size();
      else single(i++);
    }
    plan.head = plan.steps.size();
    while (plan.head > 0) {
      const Step& step = plan.steps[plan.head - 1];
      if (!step.covers.empty() && at(static_cast<size_t>(step.covers.back())).layer >= 0) break;
      --plan.head;
    }
    lay_out();
    return std::move(plan);
  }
};

}  // namespace

bool is_product(const Stage& stage) { return stage.op == "matmul" || stage.op == "experts_matmul"; }

Plan make_plan(const Graph& graph, const FuseOptions& options) { return Fuser(graph, options).run(); }

}  // namespace cutaway
