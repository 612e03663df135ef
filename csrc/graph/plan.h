// Plan: a graph made ready to run. fuse() joins stages whose tensors nobody needs apart into one step with one kernel
// and puts the rounding of activations in front of the products that want it; lay_out() decides where each tensor
// lives.
//
// Watching never changes the steps: a hidden tensor that is watched is computed beside, from the same inputs. Only a
// stage that a hook may change takes part in its step's chain, and the chain takes over only if the hook did change
// something.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "graph/graph.h"

namespace cutaway {

struct Step {
  const Op* op;
  std::string writes;              // a stage's name, or a kernel tap: "blocks.3.ln1.out@act_q8"
  std::vector<int> covers;         // the graph's stages it stands for, in order, `writes` last; empty for a tap
  std::vector<std::string> reads;  // stages, taps, "tokens", "positions"
  std::vector<WeightRef> weights;
  Attributes attributes;
  bool behind = false;  // may run together with the step before it, whose result it reads
};

// Where one tensor lives, in floats per token; tensors with an S axis live outside the arena.
struct Place {
  std::vector<int64_t> shape;  // as Stage::shape
  int64_t floats = 0;          // per token
  int64_t offset = 0;          // per token
  bool square = false;         // has an S axis
  bool q8 = false;             // holds the blocks of quantize_q8
  bool integers = false;       // holds int32
};

struct Plan {
  std::vector<Step> steps;
  std::unordered_map<std::string, Place> places;      // of every tensor that a step writes
  std::unordered_map<std::string, std::string> same;  // copies that cost nothing: name -> the tensor it stands for
  int64_t arena_floats = 0;                           // per token
  size_t head = 0;                                    // index of the first step after the last layer

  // Follows `same`.
  const std::string& owner(const std::string& name) const {
    const std::string* at = &name;
    for (auto it = same.find(*at); it != same.end(); it = same.find(*at)) at = &it->second;
    return *at;
  }
};

// Whether the stage multiplies with a weight, and so may read rounded activations.
bool is_product(const Stage& stage);

// What fuse() may assume.
struct FuseOptions {
  std::function<bool(const WeightRef&)> takes_q8;  // products with this weight read rounded activations
  bool own_copies = false;  // copies get memory of their own: a hook that changes one leaves what it is of
  bool fuse = true;         // false: one step per stage, the chain itself
};

Plan make_plan(const Graph& graph, const FuseOptions& options);

}  // namespace cutaway
