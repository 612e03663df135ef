#include "run/forward.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "formats/f32/f32.h"

namespace cutaway {

namespace {

constexpr int64_t kChunk = 256;  // tokens that go through the graph together, when nothing asks to see them together

}  // namespace

Wanted::Wanted(const Program& program, const Request& request, int64_t tokens)
    : watched(program.slots.size()),
      edited(watched),
      touched(watched),
      floats(watched.size()),
      stop_after(program.find(request.stop_after)) {
  const auto mark = [&](std::vector<char>& marks, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const int slot = program.find(name);
      if (slot <= Program::kPositionIds) throw Error("ArgumentError", "there is no stage " + printable(name));
      marks[static_cast<size_t>(slot)] = true;
    }
  };
  mark(watched, request.watch);
  mark(edited, request.edit);
  for (size_t i = 0; i < touched.size(); ++i)
    touched[i] = watched[i] || edited[i] || request.check_finite || program.slots[i].kept != Kept::no;
  int64_t rows = request.keep.empty() ? tokens : 0;
  for (const auto& kept : request.keep) rows += static_cast<int64_t>(kept.size());
  size_t all = 0;
  for (size_t i = 0; i < floats.size(); ++i) {
    const Slot& slot = program.slot(program.slots[i].owner);
    if (!watched[i] || slot.square || slot.layer < 0) continue;
    floats[i] = static_cast<size_t>(rows * slot.width);
    all += floats[i];
  }
  if (all) slab = std::make_unique<Slab>(all);
}

Forward::Forward(Session& s, const Request& r, const Wanted& w, Result& out, const Program& p)
    : session(s), request(r), wanted(w), result(out), model(*s.model), backend(*s.model->backend), program(p) {}

Forward::~Forward() {
  for (auto* memory : {&sides, &gathered})
    for (auto& [slot, side] : *memory) backend.release(side.memory, side.bytes);
}

void* Forward::memory_for(std::unordered_map<int, Side>& in, int slot, size_t bytes) {
  Side& side = in[slot];
  if (side.memory && side.bytes >= bytes) return side.memory;
  if (side.memory) backend.release(side.memory, side.bytes), side = {};
  bytes = std::max<size_t>(bytes, 64);
  try {
    side = {backend.allocate(bytes), bytes};
  } catch (...) {
    in.erase(slot);
    throw;
  }
  return side.memory;
}

int64_t Forward::seen(const Part& part, int layer) const {
  const int64_t all = part.past + part.tokens;
  return layer < 0 ? all : all - session.sequences_[part.sequence].layer(layer).first;
}

int64_t Forward::size_of(int i, int64_t rows) const {
  const Slot& of = slot(slot(i).owner);
  if (!of.square) return rows * of.width;
  int64_t total = 0;
  for (const Part& part : parts) total += part.tokens * per_token(of.shape, seen(part, of.layer));
  return total;
}

bool Forward::is_beside(int i) const { return slot(slot(i).owner).offset < 0 || sides.count(slot(i).owner); }

float* Forward::address(int i, int64_t rows, bool beside) {
  const int owner = slot(i).owner;
  if (!beside && slot(owner).offset >= 0) return arena + slot(owner).offset * T;
  return static_cast<float*>(memory_for(sides, owner, static_cast<size_t>(size_of(owner, rows)) * sizeof(float)));
}

Tensor Forward::read(int i, int64_t rows, bool from_body) {
  if (i == Program::kTokenIds) return {.data = tokens, .format = nullptr, .shape = {T}};
  if (i == Program::kPositionIds) return {.data = positions, .format = nullptr, .shape = {T}};
  const int owner = slot(i).owner;
  const Slot& of = slot(owner);
  float* data = address(owner, from_body ? T : rows, is_beside(owner));
  if (from_body) data = gather_rows(owner, data);
  return {.data = data,
          .format = of.integers ? nullptr : &format_f32,
          .shape = concrete(of.shape, rows, 0),
          .layout = of.q8 ? Layout::q8 : Layout::plain};
}

float* Forward::gather_rows(int i, const float* from) {
  const size_t bytes = static_cast<size_t>(slot(i).width) * sizeof(float);
  auto* out = static_cast<std::byte*>(memory_for(gathered, i, bytes * last_rows.size()));
  for (size_t row = 0; row < last_rows.size(); ++row)
    backend.copy(out + row * bytes,
                 reinterpret_cast<const std::byte*>(from) + static_cast<size_t>(last_rows[row]) * bytes, bytes);
  return reinterpret_cast<float*>(out);
}

Tensor Forward::slice(int i, const Tensor& whole, const Part& part) const {
  const Slot& of = slot(slot(i).owner);
  int64_t offset = 0;
  if (of.square) {
    for (const Part& p : parts) {
      if (p.row >= part.row) break;
      offset += p.tokens * per_token(of.shape, seen(p, of.layer));
    }
  } else {
    offset = part.row * of.width;
  }
  Tensor out = whole;
  out.data = static_cast<float*>(whole.data) + offset;
  out.shape = concrete(of.shape, part.tokens, of.square ? seen(part, of.layer) : 0);
  return out;
}

Tensor Forward::cache_of(const Slot& of, const Part& part) const {
  const Cache& cache = session.sequences_[part.sequence];
  return {.data = cache.row(of.layer, of.kept == Kept::values, cache.layer(of.layer).first),
          .format = &session.kv,
          .shape = {seen(part, of.layer), model.config.G, model.config.E}};
}

void Forward::make_ready(const Instruction& use, bool beside, size_t step, Backend::Ready& out) {
  const bool head = in_head(step);
  const int64_t rows = rows_at(step);
  const Slot& writes = slot(use.writes);
  Tensor y{.data = address(use.writes, rows, beside), .format = &format_f32, .shape = concrete(writes.shape, rows, 0)};
  Tensor reads[8];
  invariant(use.reads.size() <= 8, "an op reads at most eight tensors");
  for (size_t i = 0; i < use.reads.size(); ++i)
    reads[i] = read(use.reads[i], rows, head && !written_in_head[static_cast<size_t>(slot(use.reads[i]).owner)]);
  if (head) written_in_head[static_cast<size_t>(use.writes)] = true;
  backend.make_ready(*use.op,
                     {.who = writes.name,
                      .reads = {reads, use.reads.size()},
                      .weights = use.weights,
                      .out = y,
                      .attributes = use.attributes,
                      .behind = program.steps[step].step->behind},
                     out);
}

const char* Forward::call(const Instruction& use, bool beside, size_t step) {
  if (!use.apart) {
    Backend::Ready ready;
    make_ready(use, beside, step, ready);
    const Backend::Ready* one = &ready;
    backend.run({&one, 1}, program.steps[step].ahead);
    return ready.target;
  }
  const int64_t rows = rows_at(step);
  const Slot& writes = slot(use.writes);
  const Tensor y{
      .data = address(use.writes, rows, beside), .format = &format_f32, .shape = concrete(writes.shape, rows, 0)};
  const auto is_cached = [&](size_t i) { return use.op->per_sequence && i > 0 && slot(use.reads[i]).kept != Kept::no; };
  Tensor whole[8], reads[8];
  invariant(use.reads.size() <= 8, "an op reads at most eight tensors");
  for (size_t i = 0; i < use.reads.size(); ++i)
    if (!is_cached(i)) whole[i] = read(use.reads[i], rows, false);
  const char* target = "";
  for (const Part& part : parts) {
    for (size_t i = 0; i < use.reads.size(); ++i)
      reads[i] = is_cached(i) ? cache_of(slot(use.reads[i]), part) : slice(use.reads[i], whole[i], part);
    target = backend.run(*use.op, {.who = writes.name,
                                   .reads = {reads, use.reads.size()},
                                   .weights = use.weights,
                                   .out = slice(use.writes, y, part),
                                   .attributes = use.attributes});
  }
  return target;
}

void Forward::record(const Instruction& use, const char* target, const std::vector<std::string>& reads,
                     const std::vector<int>& covers) {
  if (!recording) return;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  const double busy = backend.seconds_in_kernels() - busy_before;
  Executed e{slot(use.writes).name, use.op->name, target, reads, *use.refs, *use.attributes, {}, took.count(), busy};
  for (int i : covers) e.covers.push_back(model.graph.stages[static_cast<size_t>(i)].name);
  result.executed.push_back(std::move(e));
}

void Forward::start_clock() {
  if (!recording) return;
  busy_before = backend.seconds_in_kernels();
  started = std::chrono::steady_clock::now();
}

bool Forward::run_stage(const Instruction& use, bool last, size_t step) {
  start_clock();
  const char* target = call(use, !last, step);
  if (recording) {
    std::vector<std::string> reads;
    for (int read : use.reads) reads.push_back(slot(read).name);
    record(use, target, reads, {slot(use.writes).stage});
  }
  return settle(use, target, !last, step);
}

bool Forward::run_beside(const ProgramStep& step, size_t index) {
  const size_t hidden = step.chain.size() - 1;
  size_t need = 0;
  for (size_t c = 0; c < hidden; ++c)
    if (wanted.touched[static_cast<size_t>(step.chain[c].writes)]) need = c + 1;
  bool changed = false;
  for (size_t c = 0; c < need; ++c) changed |= run_stage(step.chain[c], false, index);
  if (!changed) return false;
  for (size_t c = need; c <= hidden; ++c) run_stage(step.chain[c], c == hidden, index);
  return true;
}

bool Forward::is_looked_into(const ProgramStep& step) const {
  for (size_t c = 0; c + 1 < step.chain.size(); ++c)
    if (wanted.touched[static_cast<size_t>(step.chain[c].writes)]) return true;
  return false;
}

size_t Forward::run_steps(size_t index) {
  const ProgramStep& first = program.steps[index];
  if (is_looked_into(first) && run_beside(first, index)) return 1;
  const auto finish = [&](const ProgramStep& step, const char* target, size_t at) {
    record(step, target, step.step->reads, step.step->covers);
    settle(step, target, false, at);
  };
  start_clock();
  if (first.same) {
    if (in_head(index)) written_in_head[static_cast<size_t>(first.writes)] = true;
    finish(first, backend.target_of(*first.op), index);
    return 1;
  }
  if (first.apart) {
    finish(first, call(first, false, index), index);
    return 1;
  }
  constexpr size_t kMost = 4;
  const bool behind = first.together > 1 && program.steps[index + 1].step->behind;
  // What is recorded has its own time, and a hook may change what the step behind reads.
  const bool alone = recording || (behind && wanted.touched[static_cast<size_t>(first.writes)]);
  const size_t count = alone ? 1 : std::min(kMost, static_cast<size_t>(first.together));
  Backend::Ready fresh[kMost];
  const Backend::Ready* calls[kMost];
  for (size_t i = 0; i < count; ++i) {
    const ProgramStep& step = program.steps[index + i];
    // In a pass like the one before, the tensors are where they were.
    Backend::Ready* kept = step.values || gather ? nullptr : session.kept_ready(index + i);
    if (kept && kept->op) {
      calls[i] = kept;
      continue;
    }
    Backend::Ready& ready = kept ? *kept : fresh[i];
    make_ready(step, false, index + i, ready);
    calls[i] = &ready;
  }
  backend.run({calls, count}, program.steps[index + count - 1].ahead);
  for (size_t i = 0; i < count; ++i) finish(program.steps[index + i], calls[i]->target, index + i);
  return count;
}

void Forward::checkpoint() {
  if (!request.checkpoint) return;
  auto now = std::chrono::steady_clock::now();
  if (now - session.checked_ < std::chrono::milliseconds(20)) return;
  session.checked_ = now;
  request.checkpoint();
}

void Forward::run(const std::vector<int32_t>& ids) {
  T = static_cast<int64_t>(ids.size());
  for (const Part& part : parts) last_rows.push_back(part.row + part.tokens - 1);
  gather = !request.all_rows && last_rows.size() < ids.size();
  head_rows = gather ? static_cast<int64_t>(last_rows.size()) : T;
  written_in_head.assign(program.slots.size(), false);
  const size_t id_bytes = (ids.size() * sizeof(int32_t) + 63) / 64 * 64;
  auto* memory = static_cast<std::byte*>(
      session.workspace(2 * id_bytes + static_cast<size_t>(program.plan.arena_floats * T) * sizeof(float)));
  tokens = reinterpret_cast<int32_t*>(memory);
  positions = reinterpret_cast<int32_t*>(memory + id_bytes);
  arena = reinterpret_cast<float*>(memory + 2 * id_bytes);
  session.keep_ready(program, T);
  std::vector<int32_t> places;
  for (const Part& part : parts)
    for (int64_t t = 0; t < part.tokens; ++t) places.push_back(static_cast<int32_t>(part.past + t));
  backend.upload(tokens, ids.data(), ids.size() * sizeof(int32_t));
  backend.upload(positions, places.data(), places.size() * sizeof(int32_t));

  for (size_t i = 0; i < program.steps.size();) {
    const size_t count = run_steps(i);
    checkpoint();
    for (size_t done = 0; done < count; ++done)
      if (program.steps[i + done].writes == wanted.stop_after) return;
    i += count;
  }
  const int last = static_cast<int>(program.find(model.graph.stages.back().name));
  const int64_t width = slot(last).width;
  const auto floats = static_cast<size_t>(head_rows * width);
  backend.download(result.logits.grow(floats), address(last, head_rows, is_beside(last)), floats * sizeof(float));
  result.rows += head_rows;
}

namespace {

// Drops the logits of sequences that go on in the next chunk.
void drop_unfinished(Result& result, const std::vector<Part>& parts, const std::vector<int64_t>& done,
                     const std::vector<std::vector<int32_t>>& tokens) {
  if (!result.logits.size()) return;
  const auto width = static_cast<int64_t>(result.logits.size()) / result.rows;
  // Only the last part of a pass can be cut by the chunk's end.
  const Part& last = parts.back();
  if (done[last.sequence] == static_cast<int64_t>(tokens[last.sequence].size())) return;
  result.rows -= 1;
  result.logits.shrink(static_cast<size_t>(result.rows * width));
}

}  // namespace

Result Session::forward(const std::vector<std::vector<int32_t>>& tokens, const Request& request) {
  if (static_cast<int64_t>(tokens.size()) != sequences())
    throw Error("ArgumentError", "got tokens for " + std::to_string(tokens.size()) + " sequences, expected " +
                                     std::to_string(sequences()));
  const Program& program =
      model->program(request.edit, request.chain, model->graph.long_context && n_ctx > model->graph.long_context);
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
  const Wanted wanted(program, request, total);
  for (size_t i = 0; i < program.slots.size(); ++i)
    squares += (wanted.watched[i] || wanted.edited[i]) && program.slots[i].square;

  // Hooks and tensors with an S axis see a call's tokens together; everything else goes in chunks.
  const int64_t chunk = request.edit.empty() && !squares ? kChunk : total;
  Result result;
  result.captures.reserve(request.watch.size());
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
    Forward pass(*this, request, wanted, result, program);
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
