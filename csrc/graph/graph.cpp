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

Graph build_graph(const Config& config, const File& file) {
  Graph graph = find_architecture(config.arch)->build(config, file);
  graph.validate();
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
    if (stage.shape.empty() || stage.shape[0] != kTokens)
      throw Error("ArgumentError", stage.name + ": a stage's first axis is T, the tokens of the call");
  }
  for (const auto& [alias, name] : aliases)
    if (!known.count(name))
      throw Error("ArgumentError", "alias " + printable(alias) + " names " + printable(name) + ", which is no stage");
}

}  // namespace cutaway
