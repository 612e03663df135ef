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
  sequences_.resize(static_cast<size_t>(sequences));
}

Session::~Session() {
  for (Sequence& sequence : sequences_) release(sequence);
  if (workspace_) model->backend->release(workspace_, workspace_bytes_);
}

size_t Session::row_bytes() const {
  return static_cast<size_t>(model->config.G * model->config.E) * static_cast<size_t>(kv.block_bytes);
}

Tensor Session::weight(const Op& op, size_t argument, const WeightRef& ref) const {
  const Graph& graph = model->graph;
  if (!graph.long_context || n_ctx <= graph.long_context || !graph.constants.count(ref.tensor + ".long"))
    return model->weight(op, argument, ref);
  WeightRef twin = ref;
  twin.tensor += ".long";
  return model->weight(op, argument, twin);
}

void Session::release(Sequence& sequence) {
  for (auto* list : {&sequence.keys, &sequence.values})
    for (void* memory : *list)
      if (memory) model->backend->release(memory, static_cast<size_t>(sequence.capacity) * row_bytes());
  sequence = {};
}

// Doubles the room of a sequence until `length` tokens fit; a failure leaves it as it was.
void Session::reserve(Sequence& sequence, int64_t length) {
  if (length <= sequence.capacity) return;
  int64_t capacity = std::max<int64_t>(sequence.capacity, 64);
  while (capacity < length) capacity *= 2;
  capacity = std::min(capacity, n_ctx);
  Sequence larger{.length = sequence.length, .capacity = capacity, .keys = {}, .values = {}};
  const size_t bytes = static_cast<size_t>(capacity) * row_bytes(),
               used = static_cast<size_t>(sequence.length) * row_bytes();
  try {
    for (int64_t layer = 0; layer < model->config.L; ++layer) {
      for (auto part : {&Sequence::keys, &Sequence::values}) {
        (larger.*part).push_back(model->backend->allocate(bytes));
        if (used) model->backend->copy((larger.*part).back(), (sequence.*part)[static_cast<size_t>(layer)], used);
      }
    }
  } catch (...) {
    release(larger);
    throw;
  }
  release(sequence);
  sequence = std::move(larger);
}

Session::Sequence& Session::at(int64_t i) {
  if (i < 0 || i >= sequences())
    throw Error("ArgumentError",
                "sequence " + std::to_string(i) + " does not exist; the session has " + std::to_string(sequences()));
  return sequences_[static_cast<size_t>(i)];
}

int64_t Session::length(int64_t i) const { return const_cast<Session*>(this)->at(i).length; }

void Session::rewind(int64_t i, int64_t length) {
  Sequence& sequence = at(i);
  if (length < 0 || length > sequence.length)
    throw Error("ArgumentError", "cannot rewind to " + std::to_string(length) + " tokens: the sequence has " +
                                     std::to_string(sequence.length));
  sequence.length = length;
}

int64_t Session::fork(int64_t i) {
  Sequence copy;
  const int64_t length = at(i).length;
  if (length) reserve(copy, length);
  copy.length = length;
  const size_t used = static_cast<size_t>(length) * row_bytes();
  for (size_t layer = 0; layer < copy.keys.size(); ++layer) {
    model->backend->copy(copy.keys[layer], at(i).keys[layer], used);
    model->backend->copy(copy.values[layer], at(i).values[layer], used);
  }
  sequences_.push_back(std::move(copy));
  return sequences() - 1;
}

void Session::read_cache(int64_t i, int64_t layer, bool values, std::vector<std::byte>& out) const {
  const Sequence& sequence = const_cast<Session*>(this)->at(i);
  if (layer < 0 || layer >= model->config.L)
    throw Error("ArgumentError",
                "layer " + std::to_string(layer) + " does not exist; the model has " + std::to_string(model->config.L));
  out.resize(static_cast<size_t>(sequence.length) * row_bytes());
  if (!out.empty())
    model->backend->download(out.data(), (values ? sequence.values : sequence.keys)[static_cast<size_t>(layer)],
                             out.size());
}

size_t Session::cache_bytes() const {
  size_t total = 0;
  for (const Sequence& sequence : sequences_)
    total += static_cast<size_t>(sequence.capacity) * row_bytes() * (sequence.keys.size() + sequence.values.size());
  return total;
}

void* Session::workspace(size_t bytes) {
  if (bytes > workspace_bytes_) {
    if (workspace_) model->backend->release(workspace_, workspace_bytes_);
    workspace_ = nullptr;
    workspace_bytes_ = 0;
    workspace_ = model->backend->allocate(bytes);
    workspace_bytes_ = bytes;
  }
  return workspace_;
}

}  // namespace cutaway
