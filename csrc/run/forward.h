// Forward: one pass of new tokens through a plan. It knows stages and steps, and never asks which model this is.
// forward.cpp walks the plan; capture.cpp has what happens to a tensor once it is written: hooks, captures, the cache.
#pragma once

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

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

inline bool is_square(const std::vector<int64_t>& shape) {
  return std::find(shape.begin(), shape.end(), kPositions) != shape.end();
}

inline Shape concrete(const std::vector<int64_t>& shape, int64_t T, int64_t S) {
  Shape out;
  for (int64_t axis : shape) out[out.rank++] = axis == kTokens ? T : axis == kPositions ? S : axis;
  return out;
}

struct Forward {
  Session& session;
  const Request& request;
  Result& result;
  const Model& model;
  Backend& backend;
  const Plan& plan;

  std::vector<Part> parts;
  int64_t T = 0;
  int32_t *tokens = nullptr, *positions = nullptr;  // [T] on the backend
  float* arena = nullptr;
  int64_t head_rows = 0;  // rows that go through the stages after the last layer
  std::vector<int64_t> last_rows;
  bool gather = false;  // whether those are fewer than T
  struct Side {
    void* memory;
    size_t bytes;
  };
  std::unordered_map<std::string, Side> sides;  // tensors outside the arena: hidden ones, those with an S axis
  std::unordered_set<std::string> watched, edited;

  Forward(Session& s, const Request& r, Result& out, const Plan& p);
  ~Forward();

  const Stage& stage(int i) const { return model.graph.stages[static_cast<size_t>(i)]; }
  bool in_head(size_t step) const { return gather && step >= plan.head; }

  void* side(const std::string& name, size_t bytes);

  // Positions that a layer's attention goes over for a part: all so far, or what its cache keeps of them.
  int64_t seen(const Part& part, int layer) const;
  int layer_of(const std::string& name) const { return stage(model.graph.find(plan.owner(name))).layer; }

  // Floats of a whole tensor in this pass.
  int64_t size_of(const std::string& name, int64_t rows) const;

  const std::vector<int64_t>& shape_of(const std::string& name) const;

  // Address of a tensor that has been or is about to be written. `beside`: a hidden stage, computed for its own sake.
  float* address(const std::string& name, int64_t rows, bool beside);

  bool is_beside(const std::string& name) const;

  // --- one op --------------------------------------------------------------------------------------------------------

  Tensor read(const std::string& name, int64_t rows, bool from_body);

  // Rows last_rows of a tensor that has T rows.
  float* gathered(const std::string& name, const float* from);

  // The tensors of one sequence among those of the pass.
  Tensor slice(const std::string& name, const Tensor& whole, const Part& part) const;

  const Stage* cached(const std::string& name) const;

  Tensor cache_of(const Stage& s, const Part& part) const;

  const char* call(const Op& op, const std::string& writes, const std::vector<std::string>& reads,
                   const std::vector<WeightRef>& refs, const Attributes& attributes, bool beside, size_t step);
  std::unordered_set<std::string> written_in_head;

  // --- what happens to a tensor once it is written -------------------------------------------------------------------

  Capture copy_out(const std::string& name, int64_t rows, bool beside);

  Capture described(const std::string& name, int64_t rows) const;

  // Only the rows that request.keep names.
  Capture copy_kept(const std::string& name, int64_t rows, bool beside);

  void check_finite(const std::string& name, const Capture& tensor, const Op& op, const char* target);

  // Hooks, finite check, capture, cache. Returns whether a hook changed the tensor.
  bool settle(const std::string& name, const Op& op, const char* target, bool beside, size_t step);

  // Chunks of a long prompt come one after the other; their rows are joined.
  void append(Capture tensor);

  void store(const Stage& s, const float* rows);

  // --- the walk ------------------------------------------------------------------------------------------------------

  void record(const std::string& writes, const Op& op, const char* target, const std::vector<std::string>& reads,
              const std::vector<WeightRef>& weights, const Attributes& attributes, const std::vector<int>& covers);
  bool recording = false;
  std::chrono::steady_clock::time_point started;  // when the kernel that is recorded next was called

  // One stage of a chain with its own kernel.
  bool run_stage(int i, bool last, size_t step);

  // The hidden stages of a fused step that somebody looks at; true when a hook changed one and the chain has taken
  // over.
  bool run_beside(const Step& step, size_t index);

  void run_step(size_t index);

  void checkpoint();

  void run(const std::vector<int32_t>& ids);
};

}  // namespace cutaway
