#include "run/session.h"

#include <algorithm>

#include "base/error.h"
#include "formats/format.h"

namespace cutaway {

Session::Session(std::shared_ptr<const Model> m, int64_t context, const Format& format, int64_t sequences)
    : model(std::move(m)), n_ctx(context), kv(format) {
  if (n_ctx < 1 || n_ctx > 16777216)
    throw Error("ArgumentError", "n_ctx is " + std::to_string(n_ctx) + ", expected 1 to 16777216");
  if (sequences < 1 || sequences > 65536)
    throw Error("ArgumentError", "a session of " + std::to_string(sequences) + " sequences, expected 1 to 65536");
  const Config& c = model->config;
  const auto row_bytes = static_cast<size_t>(c.G * c.E) * static_cast<size_t>(kv.block_bytes);
  cache_ = {model->backend.get(), row_bytes, std::vector<int64_t>(static_cast<size_t>(c.L)), n_ctx};
  for (const Stage& stage : model->graph.stages)
    if (stage.op == "attention_scores" && stage.layer >= 0)
      for (const auto& [name, value] : stage.attributes)
        if (name == "window") cache_.windows[static_cast<size_t>(stage.layer)] = static_cast<int64_t>(value);
  for (int64_t i = 0; i < sequences; ++i) sequences_.emplace_back(cache_);
}

Session::~Session() {
  if (workspace_) model->backend->release(workspace_, workspace_bytes_);
}

Cache& Session::at(int64_t i) {
  if (i < 0 || i >= sequences())
    throw Error("ArgumentError",
                "sequence " + std::to_string(i) + " does not exist; the session has " + std::to_string(sequences()));
  return sequences_[static_cast<size_t>(i)];
}

int64_t Session::length(int64_t i) const { return const_cast<Session*>(this)->at(i).length(); }

void Session::rewind(int64_t i, int64_t length) { at(i).rewind(length); }

int64_t Session::fork(int64_t i) {
  sequences_.push_back(at(i).copy());
  return sequences() - 1;
}

int64_t Session::read_cache(int64_t i, int64_t layer, bool values, std::vector<std::byte>& out) const {
  const Cache& cache = const_cast<Session*>(this)->at(i);
  if (layer < 0 || layer >= model->config.L)
    throw Error("ArgumentError",
                "layer " + std::to_string(layer) + " does not exist; the model has " + std::to_string(model->config.L));
  const int64_t first = cache.layer(layer).first;
  out.resize(static_cast<size_t>(cache.length() - first) * cache_.row_bytes);
  if (!out.empty()) model->backend->download(out.data(), cache.row(layer, values, first), out.size());
  return first;
}

size_t Session::cache_bytes() const {
  size_t total = 0;
  for (const Cache& cache : sequences_) total += cache.bytes();
  return total;
}

void* Session::workspace(size_t bytes) {
  if (bytes > workspace_bytes_) {
    if (workspace_) model->backend->release(workspace_, workspace_bytes_);
    workspace_ = nullptr;
    workspace_bytes_ = 0;
    workspace_ = model->backend->allocate(bytes);
    workspace_bytes_ = bytes;
    ready_program_ = nullptr;
  }
  return workspace_;
}

void Session::keep_ready(const Program& program, int64_t tokens) {
  constexpr int64_t kFew = 16;
  if (ready_program_ == &program && ready_tokens_ == tokens) return;
  ready_.clear();
  if (tokens <= kFew) ready_.resize(program.steps.size());
  ready_program_ = &program;
  ready_tokens_ = tokens;
}

}  // namespace cutaway
