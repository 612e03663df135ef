// One pool of threads that split index ranges. Every kernel writes each of its outputs in one fixed order whatever the
// split, so the number of threads never shows in the bits.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace cutaway {

class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const;

  // Calls body(begin, end, thread) over disjoint ranges that cover [0, count); returns when all are done. The first
  // exception thrown by a body is thrown again here, and the pool stays usable. Not reentrant.
  void parallel_for(int64_t count, const std::function<void(int64_t begin, int64_t end, int thread)>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cutaway
