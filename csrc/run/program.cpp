#include "run/program.h"

#include <algorithm>

namespace cutaway {
namespace {

bool has(const std::vector<int64_t>& shape, int64_t axis) {
  return std::find(shape.begin(), shape.end(), axis) != shape.end();
}

Slot slot_of_stage(const Graph& graph, int i) {
  const Stage& stage = graph.stages[static_cast<size_t>(i)];
  Slot slot{.name = stage.name, .shape = stage.shape, .owner = 0, .stage = i, .layer = stage.layer};
  slot.square = has(stage.shape, kPositions);
  for (int64_t axis : stage.shape) slot.width *= axis > 0 ? axis : 1;
  slot.integers = find_op(stage.op)->integers;
  slot.kept = stage.cache.empty() ? Kept::no : stage.cache == "keys" ? Kept::keys : Kept::values;
  return slot;
}

// How many steps from `first` on are products of one input. With two inputs (rounded for codes, as it is for floats)
// the plan may put the second's output where the first's input was.
int products_together(const Graph& graph, const Program& program, size_t first) {
  int n = 0;
  for (size_t i = first; i < program.steps.size(); ++i, ++n) {
    const ProgramStep& step = program.steps[i];
    const auto& covers = step.step->covers;
    if (covers.size() != 1 || !is_product(graph.stages[static_cast<size_t>(covers[0])]) || step.apart) break;
    // All of them before the head, or all in it: they have the same rows.
    if ((i < program.plan.head) != (first < program.plan.head)) break;
    if (step.reads != program.steps[first].reads) break;
  }
  return std::max(n, 1);
}

}  // namespace

Program::Program(const Graph& graph, Plan made, const Backend& backend,
                 const std::function<Tensor(const Op&, size_t, const WeightRef&)>& weight)
    : plan(std::move(made)) {
  const auto add = [&](Slot slot) {
    slot.owner = static_cast<int>(slots.size());
    slot_of[slot.name] = slot.owner;
    slots.push_back(std::move(slot));
  };
  add({.name = "tokens", .shape = {kTokens}, .owner = 0, .integers = true});
  add({.name = "positions", .shape = {kTokens}, .owner = 0, .integers = true});
  for (int i = 0; i < static_cast<int>(graph.stages.size()); ++i) add(slot_of_stage(graph, i));
  for (const auto& [name, place] : plan.places) {
    if (!slot_of.count(name))
      add({.name = name, .shape = place.shape, .owner = 0, .width = place.floats, .q8 = place.q8});
    if (!place.square) slots[static_cast<size_t>(slot_of.at(name))].offset = place.offset;
  }
  for (const auto& [name, source] : plan.same)
    slots[static_cast<size_t>(slot_of.at(name))].owner = slot_of.at(plan.owner(name));

  const auto fill = [&](Instruction& to, const std::vector<std::string>& reads) {
    for (const std::string& read : reads) to.reads.push_back(slot_of.at(read));
    for (size_t i = 0; i < to.refs->size(); ++i) to.weights.push_back(weight(*to.op, i, (*to.refs)[i]));
    to.apart = to.op->per_sequence || slot(to.writes).square;
    for (int read : to.reads) {
      to.apart = to.apart || slot(slot(read).owner).square;
      to.values = to.values || slot(slot(read).owner).integers;
    }
  };
  for (const Step& step : plan.steps) {
    ProgramStep out{{step.op, slot_of.at(step.writes), {}, &step.weights, &step.attributes}, &step};
    out.same = plan.same.count(step.writes);
    fill(out, step.reads);
    if (step.covers.size() > 1) {
      for (int i : step.covers) {
        const Stage& stage = graph.stages[static_cast<size_t>(i)];
        Instruction link{find_op(stage.op), slot_of.at(stage.name), {}, &stage.weights, &stage.attributes};
        std::vector<std::string> reads = stage.reads;
        // A product reads the rounded blocks that the step in front of it made.
        for (const std::string& read : step.reads)
          if (is_product(stage) && read.find('@') != std::string::npos) reads[0] = read;
        fill(link, reads);
        out.chain.push_back(std::move(link));
      }
    }
    steps.push_back(std::move(out));
  }
  Backend::Memory next{};
  for (size_t i = steps.size(); i-- > 0;) {
    ProgramStep& step = steps[i];
    step.ahead = next;
    // Rank 2 only: which experts' weights will be read is not known ahead.
    for (const Tensor& w : step.weights)
      if (w.layout == Layout::packed && w.shape.rank == 2 && std::string_view(step.op->name) != "embed") {
        next = {w.data, backend.weight_bytes(*w.format, w.shape)};
        break;
      }
  }
  for (size_t i = 0; i < steps.size(); ++i)
    steps[i].together = i + 1 < steps.size() && steps[i + 1].step->behind ? 2 : products_together(graph, *this, i);
}

int Program::find(const std::string& name) const {
  auto it = slot_of.find(name);
  return it == slot_of.end() ? -1 : it->second;
}

}  // namespace cutaway
