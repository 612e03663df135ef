#include "run/forward.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <unordered_set>
#include "base/error.h"
#include "formats/f16/f16.h"
#include "formats/f32/f32.h"
#include "quantize_q8/quantize_q8.h"

namespace cutaway {

namespace {

constexpr int64_t kChunk = 256;  // tokens that go through the graph together, when nothing asks to see them together

}  // namespace

Forward::Forward(Session& s, const Request& r, Result& out, const Plan& p)
    : session(s), request(r), result(out), model(*s.model), backend(*s.model->backend), plan(p) {
  watched.insert(r.watch.begin(), r.watch.end());
  edited.insert(r.edit.begin(), r.edit.end());
}

Forward::~Forward() {
  for (auto& [name, side] : sides) backend.release(side.memory, side.bytes);
}

void* Forward::side(const std::string& name, size_t bytes) {
  auto it = sides.find(name);
  if (it != sides.end() && it->second.bytes >= bytes) return it->second.memory;
  if (it != sides.end()) backend.release(it->second.memory, it->second.bytes), sides.erase(it);
  void* memory = backend.allocate(std::max<size_t>(bytes, 64));
  sides[name] = {memory, bytes};
  return memory;
}

int64_t Forward::seen(const Part& part, int layer) const {
  const int64_t all = part.past + part.tokens;
  return layer < 0 ? all : all - session.sequences_[part.sequence].layer(layer).first;
}

int64_t Forward::size_of(const std::string& name, int64_t rows) const {
  const std::vector<int64_t>& shape = shape_of(plan.owner(name));
  if (!is_square(shape)) return rows * per_token(shape, 0);
  int64_t total = 0;
  for (const Part& part : parts) total += part.tokens * per_token(shape, seen(part, layer_of(name)));
  return total;
}

const std::vector<int64_t>& Forward::shape_of(const std::string& name) const {
  auto it = plan.places.find(name);
  return it != plan.places.end() ? it->second.shape : stage(model.graph.find(name)).shape;
}

// Address of a tensor that has been or is about to be written. `beside`: a hidden stage, computed for its own sake.
float* Forward::address(const std::string& name, int64_t rows, bool beside) {
  const std::string& owner = plan.owner(name);
  auto it = plan.places.find(owner);
  if (!beside && it != plan.places.end() && !it->second.square) return arena + it->second.offset * T;
  return static_cast<float*>(side(owner, static_cast<size_t>(size_of(owner, rows)) * sizeof(float)));
}

bool Forward::is_beside(const std::string& name) const {
  return !plan.places.count(plan.owner(name)) || sides.count(plan.owner(name));
}

Tensor Forward::read(const std::string& name, int64_t rows, bool from_body) {
  if (name == "tokens") return {.data = tokens, .format = nullptr, .shape = {T}};
  if (name == "positions") return {.data = positions, .format = nullptr, .shape = {T}};
  const std::string& owner = plan.owner(name);
  auto it = plan.places.find(owner);
  const bool q8 = it != plan.places.end() && it->second.q8;
  float* data = address(owner, from_body ? T : rows, is_beside(owner));
  if (from_body) data = gathered(owner, data);
  return {.data = data,
          .format = it != plan.places.end() && it->second.integers ? nullptr : &format_f32,
          .shape = concrete(shape_of(owner), rows, 0),
          .layout = q8 ? Layout::q8 : Layout::plain};
}

// Rows last_rows of a tensor that has T rows.
float* Forward::gathered(const std::string& name, const float* from) {
  const size_t bytes = static_cast<size_t>(per_token(shape_of(name), 0)) * sizeof(float);
  auto* out = static_cast<std::byte*>(side(name + "@last", bytes * last_rows.size()));
  for (size_t i = 0; i < last_rows.size(); ++i)
    backend.copy(out + i * bytes, reinterpret_cast<const std::byte*>(from) + static_cast<size_t>(last_rows[i]) * bytes,
                 bytes);
  return reinterpret_cast<float*>(out);
}

// The tensors of one sequence among those of the pass.
Tensor Forward::slice(const std::string& name, const Tensor& whole, const Part& part) const {
  const std::vector<int64_t>& shape = shape_of(plan.owner(name));
  const int layer = is_square(shape) ? layer_of(name) : -1;
  const int64_t S = seen(part, layer);
  int64_t offset = 0;
  if (is_square(shape)) {
    for (const Part& p : parts) {
      if (p.row >= part.row) break;
      offset += p.tokens * per_token(shape, seen(p, layer));
    }
  } else {
    offset = part.row * per_token(shape, 0);
  }
  Tensor out = whole;
  out.data = static_cast<float*>(whole.data) + offset;
  out.shape = concrete(shape, part.tokens, S);
  return out;
}

const Stage* Forward::cached(const std::string& name) const {
  int i = model.graph.find(name);
  return i >= 0 && !stage(i).cache.empty() ? &stage(i) : nullptr;
}

Tensor Forward::cache_of(const Stage& s, const Part& part) const {
  const Cache& cache = session.sequences_[part.sequence];
  return {.data = cache.row(s.layer, s.cache == "values", cache.layer(s.layer).first),
          .format = &session.kv,
          .shape = {seen(part, s.layer), model.config.G, model.config.E}};
}

const char* Forward::call(const Op& op, const std::string& writes, const std::vector<std::string>& reads,
                          const std::vector<WeightRef>& refs, const Attributes& attributes, bool beside, size_t step) {
  const bool head = in_head(step);
  const int64_t rows = head ? head_rows : T;
  std::vector<Tensor> weights;
  for (size_t i = 0; i < refs.size(); ++i) weights.push_back(session.weight(op, i, refs[i]));
  const std::vector<int64_t>& shape = shape_of(writes);
  Tensor out{.data = address(writes, rows, beside), .format = &format_f32, .shape = concrete(shape, rows, 0)};
  std::vector<Tensor> arguments;
  for (const std::string& name : reads)
    arguments.push_back(op.per_sequence && cached(name)
                            ? Tensor{}
                            : read(name, rows, head && !written_in_head.count(plan.owner(name))));
  if (head) written_in_head.insert(writes);
  bool apart = op.per_sequence || is_square(shape);
  for (const std::string& name : reads)
    apart = apart || (name != "tokens" && name != "positions" && is_square(shape_of(plan.owner(name))));
  if (!apart)
    return backend.run(op,
                       {.who = writes, .reads = arguments, .weights = weights, .out = out, .attributes = &attributes});
  const char* target = "";
  for (const Part& part : parts) {
    std::vector<Tensor> own;
    for (size_t i = 0; i < reads.size(); ++i) {
      const Stage* s = op.per_sequence && i > 0 ? cached(reads[i]) : nullptr;
      own.push_back(s ? cache_of(*s, part) : slice(reads[i], arguments[i], part));
    }
    target = backend.run(
        op,
        {.who = writes, .reads = own, .weights = weights, .out = slice(writes, out, part), .attributes = &attributes});
  }
  return target;
}

void Forward::record(const std::string& writes, const Op& op, const char* target, const std::vector<std::string>& reads,
                     const std::vector<WeightRef>& weights, const Attributes& attributes,
                     const std::vector<int>& covers) {
  if (!recording) return;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  Executed e{writes, op.name, target, reads, weights, attributes, {}, took.count()};
  for (int i : covers) e.covers.push_back(stage(i).name);
  result.executed.push_back(std::move(e));
}

// One stage of a chain with its own kernel.
bool Forward::run_stage(int i, bool last, size_t step) {
  const Stage& s = stage(i);
  std::vector<std::string> reads = s.reads;
  // A product reads the rounded blocks that the step in front of it made.
  for (const std::string& read : plan.steps[step].reads)
    if (is_product(s) && read.find('@') != std::string::npos) reads[0] = read;
  started = std::chrono::steady_clock::now();
  const char* target = call(*find_op(s.op), s.name, reads, s.weights, s.attributes, !last, step);
  record(s.name, *find_op(s.op), target, reads, s.weights, s.attributes, {i});
  return settle(s.name, *find_op(s.op), target, !last, step);
}

// The hidden stages of a fused step that somebody looks at; true when a hook changed one and the chain has taken
// over.
bool Forward::run_beside(const Step& step, size_t index) {
  const size_t hidden = step.covers.size() - 1;
  size_t need = 0;
  for (size_t c = 0; c < hidden; ++c)
    if (const std::string& name = stage(step.covers[c]).name;
        request.check_finite || watched.count(name) || edited.count(name))
      need = c + 1;
  bool changed = false;
  for (size_t c = 0; c < need; ++c) changed |= run_stage(step.covers[c], false, index);
  if (!changed) return false;
  for (size_t c = need; c <= hidden; ++c) run_stage(step.covers[c], c == hidden, index);
  return true;
}

void Forward::run_step(size_t index) {
  const Step& step = plan.steps[index];
  if (step.covers.size() > 1 && run_beside(step, index)) return;
  const bool same = plan.same.count(step.writes);
  if (same && in_head(index)) written_in_head.insert(step.writes);
  started = std::chrono::steady_clock::now();
  const char* target = same ? backend.target_of(*step.op)
                            : call(*step.op, step.writes, step.reads, step.weights, step.attributes, false, index);
  record(step.writes, *step.op, target, step.reads, step.weights, step.attributes, step.covers);
  settle(step.writes, *step.op, target, false, index);
}

void Forward::checkpoint() {
  auto now = std::chrono::steady_clock::now();
  if (!request.checkpoint || now - session.checked_ < std::chrono::milliseconds(20)) return;
  session.checked_ = now;
  request.checkpoint();
}

void Forward::run(const std::vector<int32_t>& ids) {
  T = static_cast<int64_t>(ids.size());
  for (const Part& part : parts) last_rows.push_back(part.row + part.tokens - 1);
  gather = !request.all_rows && last_rows.size() < ids.size();
  head_rows = gather ? static_cast<int64_t>(last_rows.size()) : T;
  const size_t id_bytes = (ids.size() * sizeof(int32_t) + 63) / 64 * 64;
  auto* memory = static_cast<std::byte*>(
      session.workspace(2 * id_bytes + static_cast<size_t>(plan.arena_floats * T) * sizeof(float)));
  tokens = reinterpret_cast<int32_t*>(memory);
  positions = reinterpret_cast<int32_t*>(memory + id_bytes);
  arena = reinterpret_cast<float*>(memory + 2 * id_bytes);
  std::vector<int32_t> places;
  for (const Part& part : parts)
    for (int64_t t = 0; t < part.tokens; ++t) places.push_back(static_cast<int32_t>(part.past + t));
  backend.upload(tokens, ids.data(), ids.size() * sizeof(int32_t));
  backend.upload(positions, places.data(), places.size() * sizeof(int32_t));

  for (size_t i = 0; i < plan.steps.size(); ++i) {
    run_step(i);
    checkpoint();
    if (plan.steps[i].writes == request.stop_after) return;
  }
  const std::string& last = model.graph.stages.back().name;
  const int64_t width = per_token(shape_of(last), 0);
  const size_t before = result.logits.size();
  result.logits.resize(before + static_cast<size_t>(head_rows * width));
  backend.download(result.logits.data() + before, address(last, head_rows, is_beside(last)),
                   static_cast<size_t>(head_rows * width) * sizeof(float));
  result.rows += head_rows;
}
namespace {

// Drops the logits of sequences that go on in the next chunk.
void drop_unfinished(Result& result, const std::vector<Part>& parts, const std::vector<int64_t>& done,
                     const std::vector<std::vector<int32_t>>& tokens) {
  if (result.logits.empty()) return;
  const auto width = static_cast<int64_t>(result.logits.size()) / result.rows;
  // Only the last part of a pass can be cut by the chunk's end.
  const Part& last = parts.back();
  if (done[last.sequence] == static_cast<int64_t>(tokens[last.sequence].size())) return;
  result.rows -= 1;
  result.logits.resize(static_cast<size_t>(result.rows * width));
}

void check_names(const Model& model, const Plan& plan, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (!plan.places.count(name) && model.graph.find(name) < 0)
      throw Error("ArgumentError", "there is no stage " + printable(name));
}

}  // namespace

Result Session::forward(const std::vector<std::vector<int32_t>>& tokens, const Request& request) {
  if (static_cast<int64_t>(tokens.size()) != sequences())
    throw Error("ArgumentError", "got tokens for " + std::to_string(tokens.size()) + " sequences, expected " +
                                     std::to_string(sequences()));
  const Plan& plan = request.chain ? model->chain() : model->plan({request.edit.begin(), request.edit.end()});
  check_names(*model, plan, request.watch);
  check_names(*model, plan, request.edit);
  if (!request.keep.empty() && request.keep.size() != tokens.size())
    throw Error("ArgumentError", "keep names rows of " + std::to_string(request.keep.size()) + " sequences, expected " +
                                     std::to_string(tokens.size()));
  int64_t total = 0, squares = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    total += static_cast<int64_t>(tokens[i].size());
    const int64_t length = sequences_[i].length() + static_cast<int64_t>(tokens[i].size());
    if (length > n_ctx)
      throw Error("ContextLengthExceeded",
                  "sequence " + std::to_string(i) + " would be " + std::to_string(length) +
                      " tokens long, and the session has room for " + std::to_string(n_ctx),
                  "", {{"length", length}, {"max", n_ctx}});
    for (size_t t = 0; t < tokens[i].size(); ++t)
      if (tokens[i][t] < 0 || tokens[i][t] >= model->config.V)
        throw Error("InvalidTokenId",
                    "tokens[" + std::to_string(t) + "] is " + std::to_string(tokens[i][t]) + ", expected 0 <= id < " +
                        std::to_string(model->config.V),
                    "", {{"index", static_cast<int64_t>(t)}, {"value", int64_t{tokens[i][t]}}});
  }
  if (!total) throw Error("ArgumentError", "no tokens to run");
  for (const auto* names : {&request.watch, &request.edit})
    for (const std::string& name : *names)
      if (int i = model->graph.find(name); i >= 0 && is_square(model->graph.stages[static_cast<size_t>(i)].shape))
        ++squares;

  // Hooks and tensors with an S axis see a call's tokens together; everything else goes in chunks.
  const int64_t chunk = request.edit.empty() && !squares ? kChunk : total;
  Result result;
  std::vector<int64_t> lengths;
  for (size_t i = 0; i < tokens.size(); ++i) {
    lengths.push_back(sequences_[i].length());
  }
  struct Undo {  // a call that fails leaves every sequence as it was
    std::vector<Cache>& caches;
    ~Undo() {
      for (Cache& cache : caches) cache.roll_back();
    }
  } undo{sequences_};
  for (size_t i = 0; i < tokens.size(); ++i) sequences_[i].reserve(static_cast<int64_t>(tokens[i].size()), chunk);
  std::vector<int64_t> done(tokens.size(), 0);
  for (int64_t sent = 0; sent < total;) {
    Forward pass(*this, request, result, plan);
    pass.recording = request.record && sent == 0;
    std::vector<int32_t> ids;
    for (size_t i = 0; i < tokens.size() && static_cast<int64_t>(ids.size()) < chunk; ++i) {
      const int64_t room = chunk - static_cast<int64_t>(ids.size());
      const int64_t n = std::min(room, static_cast<int64_t>(tokens[i].size()) - done[i]);
      if (!n) continue;
      sequences_[i].slide(lengths[i] + done[i], n);
      pass.parts.push_back({i, static_cast<int64_t>(ids.size()), n, lengths[i] + done[i], done[i]});
      ids.insert(ids.end(), tokens[i].begin() + done[i], tokens[i].begin() + done[i] + n);
      done[i] += n;
    }
    // Only a sequence's very last token wants logits, unless all do.
    pass.run(ids);
    sent += static_cast<int64_t>(ids.size());
    if (!request.all_rows) drop_unfinished(result, pass.parts, done, tokens);
  }
  for (size_t i = 0; i < tokens.size(); ++i) sequences_[i].commit(static_cast<int64_t>(tokens[i].size()));
  return result;
}

}  // namespace cutaway
