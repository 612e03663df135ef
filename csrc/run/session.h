// Session: a batch of sequences in progress, each with its keys and values so far. forward() runs new tokens of some or
// all of them; a call that fails leaves every sequence as it was.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/floats.h"
#include "run/cache.h"
#include "run/model.h"

namespace cutaway {

// One watched tensor, on the host.
struct Capture {
  std::string name;
  int slot = -1;                    // its number in the program
  std::vector<int64_t> shape{};     // T first; of a tensor with an S axis, [H] only: see `positions`
  bool q8 = false;                  // holds the blocks of quantize_q8
  bool integers = false;            // `data` holds the bits of int32
  std::vector<int64_t> tokens{};    // rows of each sequence that has some
  std::vector<size_t> sequences{};  // which those are
  std::vector<int64_t>
      positions{};  // S of each sequence, for a tensor with an S axis: its blocks [T, H, S] one after the other
  Floats data{};
  std::string kernel{};          // for hooks: what computed it, "rms_norm/avx2"
  std::vector<int64_t> first{};  // for hooks: the position of each sequence's first row
};

// What ran for one tensor.
struct Executed {
  std::string writes, op, target;
  std::vector<std::string> reads;
  std::vector<WeightRef> weights;
  Attributes attributes;
  std::vector<std::string> covers;
  double seconds, busy;  // from call to end; of all threads in its kernel, added up
};

struct Request {
  std::vector<std::string> watch;  // stages and taps to copy out
  std::vector<std::string> edit;   // stages to show to `hook`
  // Per sequence, ascending: which of the call's tokens a watched tensor keeps rows of. Empty: all.
  std::vector<std::vector<int64_t>> keep;
  // Gets a tensor on the host and may change it in place; returns whether it did.
  std::function<bool(Capture& tensor)> hook;
  std::function<void()> checkpoint;  // called between steps; raises to stop (Ctrl-C)
  std::string stop_after;            // run no further than this stage
  bool all_rows = false;             // logits of every token, not only of each sequence's last
  bool check_finite = false;         // raise NonFiniteError at the first stage with a value that is not finite
  bool chain = false;                // one kernel per stage, nothing fused
  bool record = false;               // list what ran in Result::executed
};

struct Result {
  Floats logits;  // [rows, V]; empty when the run stopped before
  int64_t rows = 0;
  std::vector<Capture> captures;
  std::vector<Executed> executed;
};

class Session {
 public:
  // `n_ctx`: most tokens of a sequence. `kv`: format of the cache, f16 or f32.
  Session(std::shared_ptr<const Model> model, int64_t n_ctx, const Format& kv, int64_t sequences);
  ~Session();

  // tokens[i]: new tokens of sequence i, possibly none. Raises before any compute on bad ids or lengths.
  Result forward(const std::vector<std::vector<int32_t>>& tokens, const Request& request);

  int64_t length(int64_t sequence) const;
  void rewind(int64_t sequence, int64_t length);  // forgets the tokens from `length` on
  int64_t fork(int64_t sequence);                 // a copy as a new sequence; returns its number
  // What a layer's cache keeps of a sequence, raw bytes [rows, G, E]: every position, or with a window the last ones.
  // Returns the first position.
  int64_t read_cache(int64_t sequence, int64_t layer, bool values, std::vector<std::byte>& out) const;
  size_t cache_bytes() const;
  size_t workspace_bytes() const { return workspace_bytes_; }

  const std::shared_ptr<const Model> model;
  const int64_t n_ctx;
  const Format& kv;
  int64_t sequences() const { return static_cast<int64_t>(sequences_.size()); }

 private:
  friend struct Forward;
  Cache& at(int64_t sequence);
  void* workspace(size_t bytes);

  // Calls made ready in a pass stay so for later ones of the same program with as many tokens, while they are few: a
  // token of decoding then checks next to nothing again. Null: not kept; without an op: not made ready yet.
  void keep_ready(const Program& program, int64_t tokens);
  Backend::Ready* kept_ready(size_t step) { return ready_.empty() ? nullptr : &ready_[step]; }

  CacheShape cache_;
  std::vector<Cache> sequences_;
  void* workspace_ = nullptr;
  size_t workspace_bytes_ = 0;
  const Program* ready_program_ = nullptr;
  int64_t ready_tokens_ = 0;
  std::vector<Backend::Ready> ready_;
  std::chrono::steady_clock::time_point checked_{};  // when request.checkpoint was called last
};

}  // namespace cutaway
