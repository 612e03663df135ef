// Program: a plan made ready to run on a model's backend. Names become numbers and weights are found, once; a pass
// looks nothing up.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "graph/plan.h"
#include "load/backend.h"

namespace cutaway {

enum class Kept { no, keys, values };  // in which cache a tensor's rows are kept for later tokens

// A tensor of a pass: what a stage writes, a tap, or one of the inputs.
struct Slot {
  std::string name;
  std::vector<int64_t> shape{};  // as Stage::shape
  int owner;                     // whose memory it has: its own, unless it is a copy that costs nothing
  int stage = -1;                // index in the graph; -1: a tap or an input
  int layer = -1;
  int64_t width = 1;    // floats per token, where it has no S axis
  int64_t offset = -1;  // per token, in the arena; -1: not there
  bool square = false;  // has an S axis
  bool q8 = false;
  bool integers = false;
  Kept kept = Kept::no;
};

// One use of an op.
struct Instruction {
  const Op* op;
  int writes;
  std::vector<int> reads{};
  const std::vector<WeightRef>* refs;
  const Attributes* attributes;
  std::vector<Tensor> weights{};
  bool apart = false;  // runs once per sequence
  bool values =
      false;  // what it computes depends on integers that change from pass to pass, so it is checked each time
};

struct ProgramStep : Instruction {
  const Step* step;
  std::vector<Instruction> chain{};  // one for each stage it covers, where those are several
  bool same = false;                 // a copy that costs nothing
  int together = 1;  // this step and the next ones, that run as one: products of one input, or what is behind a product
  Backend::Memory ahead{};  // the weights of the next product, for threads that wait
};

struct Program {
  static constexpr int kTokenIds = 0, kPositionIds = 1;  // the slots of the inputs

  Plan plan;
  std::vector<Slot> slots;
  std::vector<ProgramStep> steps;
  std::unordered_map<std::string, int> slot_of;  // by name; stages, taps and inputs

  // `weight(op, argument, ref)`: a stage's weight on the backend.
  Program(const Graph& graph, Plan plan, const Backend& backend,
          const std::function<Tensor(const Op&, size_t, const WeightRef&)>& weight);
  Program(const Program&) = delete;

  const Slot& slot(int i) const { return slots[static_cast<size_t>(i)]; }
  int find(const std::string& name) const;  // -1: there is none
};

}  // namespace cutaway
