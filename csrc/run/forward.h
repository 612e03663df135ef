// Forward: one pass of new tokens through a program. It knows stages and steps, and never asks which model this is.
// forward.cpp walks the program; capture.cpp has what happens to a tensor once it is written: hooks, captures, the
// cache.
#pragma once

#include <algorithm>
#include <memory>
#include <unordered_map>

#include "run/session.h"

namespace cutaway {

struct Part {  // the tokens of one sequence in one pass
  size_t sequence;
  int64_t row, tokens, past;
  int64_t sent;  // tokens of this call that went before
};

inline int64_t per_token(const std::vector<int64_t>& shape, int64_t S) {
  int64_t n = 1;
  for (int64_t axis : shape) n *= axis == kTokens ? 1 : axis == kPositions ? S : axis;
  return n;
}

inline Shape concrete(const std::vector<int64_t>& shape, int64_t T, int64_t S) {
  Shape out;
  for (int64_t axis : shape) out[out.rank++] = axis == kTokens ? T : axis == kPositions ? S : axis;
  return out;
}

// What a request wants of each tensor, by slot; the same for all passes of a call.
struct Wanted {
  std::vector<char> watched, edited, touched;  // touched: something happens once it is written
  std::vector<size_t> floats;                  // of what is watched, over all passes; 0 where it is not known ahead
  std::unique_ptr<Slab> slab;                  // that many
  int stop_after = -1;

  // `tokens`: of all sequences.
  Wanted(const Program& program, const Request& request, int64_t tokens);
};

struct Forward {
  Session& session;
  const Request& request;
  const Wanted& wanted;
  Result& result;
  const Model& model;
  Backend& backend;
  const Program& program;

  std::vector<Part> parts;
  int64_t T = 0;
  int32_t *tokens = nullptr, *positions = nullptr;  // [T] on the backend
  float* arena = nullptr;
  int64_t head_rows = 0;  // rows that go through the stages after the last layer
  std::vector<int64_t> last_rows;
  bool gather = false;  // whether those are fewer than T
  struct Side {
    void* memory = nullptr;
    size_t bytes = 0;
  };
  std::unordered_map<int, Side> sides;     // tensors outside the arena, by slot: hidden ones, those with an S axis
  std::unordered_map<int, Side> gathered;  // rows last_rows of tensors that the head reads
  std::vector<char> written_in_head;       // by slot
  bool recording = false;
  std::chrono::steady_clock::time_point started;
  double busy_before = 0;  // seconds_in_kernels() when it started

  Forward(Session& s, const Request& r, const Wanted& w, Result& out, const Program& p);
  ~Forward();

  const Slot& slot(int i) const { return program.slot(i); }
  bool in_head(size_t step) const { return gather && step >= program.plan.head; }
  int64_t rows_at(size_t step) const { return in_head(step) ? head_rows : T; }

  void* memory_for(std::unordered_map<int, Side>& in, int slot, size_t bytes);

  // Positions that a layer's attention goes over for a part: all so far, or what its cache keeps of them.
  int64_t seen(const Part& part, int layer) const;

  // Floats of a whole tensor in this pass.
  int64_t size_of(int slot, int64_t rows) const;

  // Address of a tensor that has been or is about to be written. `beside`: a hidden stage, computed for its own sake.
  float* address(int slot, int64_t rows, bool beside);
  bool is_beside(int slot) const;

  // --- one op --------------------------------------------------------------------------------------------------------

  Tensor read(int slot, int64_t rows, bool from_body);

  // Rows last_rows of a tensor that has T rows.
  float* gather_rows(int slot, const float* from);

  // The tensors of one sequence among those of the pass.
  Tensor slice(int slot, const Tensor& whole, const Part& part) const;

  Tensor cache_of(const Slot& slot, const Part& part) const;

  // The tensors of an instruction, checked. Not for one that runs apart.
  void make_ready(const Instruction& use, bool beside, size_t step, Backend::Ready& out);
  // Runs it; returns the kernel's target.
  const char* call(const Instruction& use, bool beside, size_t step);

  // --- what happens to a tensor once it is written -------------------------------------------------------------------

  Capture copy_out(int slot, int64_t rows, bool beside);
  Capture described(int slot, int64_t rows) const;

  // Adds the tensor's rows, those that request.keep names, to what the call has captured of it in earlier chunks.
  void take(int slot, int64_t rows, bool beside);

  void check_finite(int slot, const Capture& tensor, const Instruction& use, const char* target);

  // Hooks, finite check, capture, cache. Returns whether a hook changed the tensor.
  bool settle(const Instruction& use, const char* target, bool beside, size_t step);

  void store(const Slot& slot, const float* rows);

  // --- the walk ------------------------------------------------------------------------------------------------------

  void start_clock();  // of the kernel that is recorded next
  void record(const Instruction& use, const char* target, const std::vector<std::string>& reads,
              const std::vector<int>& covers);

  // One stage of a chain with its own kernel.
  bool run_stage(const Instruction& use, bool last, size_t step);

  // The hidden stages of a fused step that somebody looks at; true when a hook changed one and the chain has taken
  // over.
  bool run_beside(const ProgramStep& step, size_t index);

  // Whether a step has to be run apart from its neighbours.
  bool is_looked_into(const ProgramStep& step) const;

  // Runs the step, or as many as run together with it; returns how many.
  size_t run_steps(size_t index);

  void checkpoint();
  void run(const std::vector<int32_t>& ids);
};

}  // namespace cutaway
