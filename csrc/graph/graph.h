// Graph: a model as an ordered list of stages. Data, made once per architecture from a Config (graph/arch/*.cpp), run
// by executors that share nothing but the list, printed and edited from Python.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/config.h"
#include "load/weights.h"
#include "op.h"

namespace cutaway {

// Free axes of a stage's shape.
constexpr int64_t kTokens = -1;     // T: tokens in this call
constexpr int64_t kPositions = -2;  // S: positions so far, this call's included

struct Stage {
  std::string name;  // of the tensor it writes: "blocks.3.attn.q"
  std::string op;
  std::vector<std::string> reads;  // stages before it, or "tokens", "positions"
  std::vector<WeightRef> weights;
  Attributes attributes;
  std::vector<int64_t> shape;  // kTokens, kPositions, or a size
  std::string axes;            // the same in letters: "T H E"
  std::string cache;           // "keys" or "values": its rows are kept for later tokens, layer by layer
  int layer = -1;              // -1: outside the layers
};

struct Graph {
  std::string arch;
  int64_t L = 0, V = 0;
  int64_t kv_width = 0;                                  // G E: values of a token in one layer's keys
  std::vector<Stage> stages;                             // in order; each reads only what stands before it
  std::map<std::string, std::vector<double>> constants;  // "$rope.frequencies"
  int64_t long_context = 0;  // > 0: sessions for longer sequences take the constant NAME.long instead of NAME
  std::map<std::string, std::string> aliases;  // second names of stages: "blocks.0.mlp.in" -> "blocks.0.ln2.out"

  int find(std::string_view name) const;  // index of a stage or of what an alias names; -1: there is none

  // Names unique, reads known and earlier, ops known with the right number of arguments; raises ArgumentError.
  void validate() const;
};

struct Architecture {
  const char* name;  // general.architecture
  Graph (*build)(const Config& config, const File& file);
};

std::span<const Architecture* const> architectures();
const Architecture* find_architecture(std::string_view name);  // null: we do not have it
Graph build_graph(const Config& config, const File& file);

}  // namespace cutaway
