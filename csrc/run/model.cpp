#include "run/model.h"

#include <cstring>

#include "base/error.h"

namespace cutaway {

Model::Model(std::shared_ptr<const File> f, std::shared_ptr<Backend> b, bool is_exact)
    : file(std::move(f)),
      backend(std::move(b)),
      config(read_config(*file)),
      graph(build_graph(config, *file)),
      exact(is_exact),
      weights_(std::make_shared<Weights>(file, backend)) {
  load_weights();
}

Model::Model(const Model& other, Graph g)
    : file(other.file),
      backend(other.backend),
      config(other.config),
      graph(std::move(g)),
      exact(other.exact),
      weights_(other.weights_) {
  if (graph.L != config.L || graph.V != config.V || graph.kv_width != config.G * config.E)
    throw Error("ArgumentError", "a graph's L, V and kv_width are its file's: edit stages, not these");
  graph.validate();
  load_weights();
}

std::shared_ptr<const Model> Model::with_graph(Graph g) const {
  return std::shared_ptr<const Model>(new Model(*this, std::move(g)));
}

void Model::load_weights() {
  for (const Stage& stage : graph.stages)
    for (size_t i = 0; i < stage.weights.size(); ++i) weight(*find_op(stage.op), i, stage.weights[i]);
}

Tensor Model::weight(const Op& op, size_t argument, const WeightRef& ref) const {
  if (ref.tensor.empty()) return {};
  if (ref.tensor[0] == '$') {
    auto it = graph.constants.find(ref.tensor);
    if (it == graph.constants.end()) throw Error("ArgumentError", "the graph has no constant " + printable(ref.tensor));
    return weights_->get(ref, false, &it->second);
  }
  // Matrices go to matmul and embed, vectors (norms, biases) are plain float32.
  return weights_->get(ref, std::strcmp(op.weights[argument], "?bias") != 0 && ref.shape.rank >= 2);
}

bool Model::takes_q8(const WeightRef& ref) const {
  const TensorInfo* tensor = file->find(ref.tensor);
  return !exact && tensor && tensor->format && backend->takes_q8(*tensor->format);
}

const Program& Model::program(const std::vector<std::string>& edited, bool chain, bool longer) const {
  std::lock_guard lock(mutex_);
  const Program& program = made(false, chain, longer);
  for (const std::string& name : edited)
    if (program.plan.same.count(name)) return made(true, chain, longer);
  return program;
}

const Program& Model::made(bool own_copies, bool chain, bool longer) const {
  std::unique_ptr<const Program>& program = programs_[own_copies][chain][longer];
  if (!program) {
    const auto rounds = [&](const WeightRef& ref) { return takes_q8(ref); };
    const auto find = [&](const Op& op, size_t argument, const WeightRef& ref) {
      WeightRef twin = ref;
      if (longer && graph.constants.count(ref.tensor + ".long")) twin.tensor += ".long";
      return weight(op, argument, twin);
    };
    program = std::make_unique<const Program>(graph, make_plan(graph, {rounds, own_copies, !chain}), *backend, find);
  }
  return *program;
}

}  // namespace cutaway
