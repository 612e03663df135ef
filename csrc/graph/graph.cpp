#include "graph/graph.h"

#include <algorithm>
#include <set>

#include "arch_table.h"  // generated from the file names: CUTAWAY_ARCHITECTURES(X)

namespace cutaway {

#define X(name) extern const Architecture arch_##name;
CUTAWAY_ARCHITECTURES(X)
#undef X

std::span<const Architecture* const> architectures() {
#define X(name) &arch_##name,
  static const std::vector<const Architecture*> all{CUTAWAY_ARCHITECTURES(X)};
#undef X
  return all;
}

const Architecture* find_architecture(std::string_view name) {
  for (const Architecture* arch : architectures())
    if (arch->name == name) return arch;
  return nullptr;
}

namespace {

// A tensor of a layer that no stage uses: the file's model is more than the graph, or has more layers than it says.
void check_all_used(const Graph& graph, const File& file) {
  std::set<std::string> used;
  for (const Stage& stage : graph.stages)
    for (const WeightRef& weight : stage.weights) used.insert(weight.tensor);
  std::string first;
  int64_t more = -1;
  for (const TensorInfo& tensor : file.tensors) {
    const bool of_layer = tensor.name.rfind("blk.", 0) == 0;
    // Old converters wrote rope's frequencies into every layer.
    if (!of_layer || used.count(tensor.name) || tensor.name.find(".attn_rot_embd.") != std::string::npos) continue;
    if (++more == 0) first = tensor.name;
  }
  if (more < 0) return;
  throw Error("MappingError",
              file.parts[0] + ": no stage of a " + graph.arch + " model with " + std::to_string(graph.L) +
                  " layers uses " + printable(first) + (more ? " and " + std::to_string(more) + " others" : ""),
              "", {{"tensor", first}});
}

}  // namespace

Graph build_graph(const Config& config, const File& file) {
  Graph graph = find_architecture(config.arch)->build(config, file);
  graph.validate();
  check_all_used(graph, file);
  return graph;
}

int Graph::find(std::string_view name) const {
  if (auto alias = aliases.find(std::string(name)); alias != aliases.end()) name = alias->second;
  for (size_t i = 0; i < stages.size(); ++i)
    if (stages[i].name == name) return static_cast<int>(i);
  return -1;
}

namespace {

void check_count(const Stage& stage, const char* what, size_t got, const std::vector<const char*>& arguments) {
  auto required = std::count_if(arguments.begin(), arguments.end(), [](const char* a) { return *a != '?'; });
  if (got >= static_cast<size_t>(required) && got <= arguments.size()) return;
  throw Error("ArgumentError", stage.name + ": " + stage.op + " takes " + std::to_string(arguments.size()) + " " +
                                   what + ", got " + std::to_string(got));
}

// Rows that are kept for later tokens lie [G, E] to a token in every layer.
void check_cached(const Stage& stage, const Graph& graph) {
  int64_t width = 1;
  for (size_t i = 1; i < stage.shape.size(); ++i) width *= stage.shape[i];
  if (stage.cache != "keys" && stage.cache != "values")
    throw Error("ArgumentError", stage.name + ": cache is " + printable(stage.cache) + ", expected keys or values");
  if (stage.layer < 0 || stage.layer >= graph.L || width != graph.kv_width)
    throw Error("ArgumentError", stage.name + ": the cache takes rows of " + std::to_string(graph.kv_width) +
                                     " in layers 0 to " + std::to_string(graph.L - 1) + ", got rows of " +
                                     std::to_string(width) + " in layer " + std::to_string(stage.layer));
}

}  // namespace

void Graph::validate() const {
  if (stages.empty()) throw Error("ArgumentError", "the graph has no stages");
  std::set<std::string> known{"tokens", "positions"};
  for (const Stage& stage : stages) {
    const Op* op = find_op(stage.op);
    if (!op) throw Error("ArgumentError", stage.name + ": there is no op " + printable(stage.op));
    check_count(stage, "reads", stage.reads.size(), op->reads);
    check_count(stage, "weights", stage.weights.size(), op->weights);
    for (const std::string& read : stage.reads)
      if (!known.count(read))
        throw Error("ArgumentError", stage.name + " reads " + printable(read) + ", which no stage before it writes");
    if (!known.insert(stage.name).second) throw Error("ArgumentError", "two stages are named " + printable(stage.name));
    if (stage.shape.empty() || stage.shape.size() > 4 || stage.shape[0] != kTokens)
      throw Error("ArgumentError",
                  stage.name + ": a stage has 1 to 4 axes, the first is T (-1), the tokens of the call");
    for (size_t i = 1; i < stage.shape.size(); ++i)
      if (int64_t n = stage.shape[i]; n != kPositions && (n < 1 || n > 16777216))
        throw Error("ArgumentError", stage.name + ": axis " + std::to_string(i) + " is " + std::to_string(n) +
                                         ", expected S (-2) or 1 to 16777216");
    if (!stage.cache.empty()) check_cached(stage, *this);
  }
  for (const auto& [alias, name] : aliases)
    if (!known.count(name))
      throw Error("ArgumentError", "alias " + printable(alias) + " names " + printable(name) + ", which is no stage");
}

}  // namespace cutaway
