#include "rope.h"

#include <algorithm>
#include <cmath>
#include <list>

namespace cutaway {

static constexpr Kernel<Rope> kernels[] = CUTAWAY_KERNELS(rope);
extern const Op op_rope;
const Op op_rope = make_op<Rope, kernels>("rope", {"x", "positions"}, {"frequencies"}, {"?attention_factor"});

Shape Rope::shape(const Call& call) {
  const Shape &x = call.reads[0].shape, &positions = call.reads[1].shape, &frequencies = call.weights[0].shape;
  CHECK_SHAPE(call, x.rank == 3, "x is " + x.str() + ", expected [T, H, E]");
  CHECK_SHAPE(call, positions.rank == 1 && positions[0] == x[0],
              "positions is " + positions.str() + ", expected one for each of the " + std::to_string(x[0]) + " tokens");
  CHECK_SHAPE(call, frequencies.rank == 1 && 2 * frequencies[0] <= x[2],
              "frequencies is " + frequencies.str() + ", expected at most half of E = " + std::to_string(x[2]));
  return x;
}

Rope Rope::bind(const Call& call) {
  const Shape& x = call.reads[0].shape;
  const Tensor &positions = call.reads[1], &frequencies = call.weights[0];
  if (positions.format) throw Error("ArgumentError", std::string(call.who) + ": positions are not integers");
  if (frequencies.format) throw Error("ArgumentError", std::string(call.who) + ": frequencies are not float64");
  for (int64_t t = 0; call.host && t < x[0]; ++t)
    if (positions.i32()[t] < 0)
      throw Error("ArgumentError", std::string(call.who) + ": positions[" + std::to_string(t) + "] is " +
                                       std::to_string(positions.i32()[t]) + ", expected 0 or more");
  return {.x = floats(call, call.reads[0], "x"),
          .positions = positions.i32(),
          .frequencies = static_cast<const double*>(frequencies.data),
          .y = floats(call, call.out, "out"),
          .T = x[0],
          .H = x[1],
          .E = x[2],
          .half = frequencies.shape[0],
          .attention_factor = call.number("attention_factor", 1)};
}

constexpr int32_t kKept = 256;  // positions: as many as go through a model together
constexpr size_t kTables = 4;   // gemma3's layers take turns between two

struct RopeTurns {
  std::vector<double> frequencies;
  double attention_factor;
  std::vector<int32_t> positions;  // [kKept]; -1: none yet
  std::vector<float> rows;         // [kKept, 2, half]
};

RopeTurns& rope_turns(const Rope& a) {
  thread_local std::list<RopeTurns> tables;  // the last used first
  const auto half = static_cast<size_t>(a.half);
  const auto it = std::find_if(tables.begin(), tables.end(), [&](const RopeTurns& turns) {
    return turns.attention_factor == a.attention_factor && turns.frequencies.size() == half &&
           std::equal(turns.frequencies.begin(), turns.frequencies.end(), a.frequencies);
  });
  if (it != tables.end()) {
    tables.splice(tables.begin(), tables, it);
  } else {
    if (tables.size() == kTables) tables.pop_back();
    tables.push_front({.frequencies = {a.frequencies, a.frequencies + half},
                       .attention_factor = a.attention_factor,
                       .positions = std::vector<int32_t>(kKept, -1),
                       .rows = std::vector<float>(kKept * 2 * half)});
  }
  return tables.front();
}

const float* rope_turn(RopeTurns& turns, int32_t position) {
  const size_t half = turns.frequencies.size(), place = static_cast<size_t>(position % kKept);
  float* row = turns.rows.data() + place * 2 * half;
  if (turns.positions[place] == position) return row;
  turns.positions[place] = position;
  for (size_t i = 0; i < half; ++i) {
    const double angle = position * turns.frequencies[i];
    row[i] = static_cast<float>(turns.attention_factor * std::cos(angle));
    row[half + i] = static_cast<float>(turns.attention_factor * std::sin(angle));
  }
  return row;
}

}  // namespace cutaway
