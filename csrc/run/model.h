// Model: a file, its graph and its weights on a backend. Immutable once made, so threads and sessions can share it.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "load/weights.h"
#include "run/program.h"

namespace cutaway {

class Model {
 public:
  // `exact`: activations stay float32 in every product; else they are rounded to 8 bits where the weight has codes.
  Model(std::shared_ptr<const File> file, std::shared_ptr<Backend> backend, bool exact);

  // The same file and weights with another graph: weights that only the new graph uses are read, nothing is copied.
  std::shared_ptr<const Model> with_graph(Graph graph) const;

  const std::shared_ptr<const File> file;
  const std::shared_ptr<Backend> backend;
  const Config config;
  const Graph graph;
  const bool exact;

  // The plan in which the stages of `edited` may be changed by hooks, or with one step per stage (`chain`), made ready.
  // `longer`: with longrope, the constants for sequences beyond the original context. Kept, six at most: of what is
  // edited only copies matter, which need memory of their own then, and all get it together.
  const Program& program(const std::vector<std::string>& edited, bool chain = false, bool longer = false) const;

  Tensor weight(const Op& op, size_t argument, const WeightRef& ref) const;
  const Weights& weights() const { return *weights_; }

 private:
  Model(const Model& other, Graph graph);
  void load_weights();
  bool takes_q8(const WeightRef& ref) const;

  std::shared_ptr<Weights> weights_;
  const Program& made(bool own_copies, bool chain, bool longer) const;

  mutable std::mutex mutex_;
  mutable std::unique_ptr<const Program> programs_[2][2][2];  // [own_copies][chain][longer]
};

}  // namespace cutaway
