// One pool of threads that split index ranges. Every kernel writes each of its outputs in one fixed order whatever the
// split, so the number of threads never shows in the bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace cutaway {

// A callable seen through a pointer: it must outlive the call it is passed to. A std::function would allocate, once for
// every stage of every token.
class RangeBody {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, RangeBody>) RangeBody(F&& body)  // NOLINT: meant to be implicit
      : body_(const_cast<void*>(static_cast<const void*>(&body))),
        call_([](void* f, int64_t begin, int64_t end, int thread) {
          (*static_cast<std::remove_reference_t<F>*>(f))(begin, end, thread);
        }) {}
  void operator()(int64_t begin, int64_t end, int thread) const { call_(body_, begin, end, thread); }

 private:
  void* body_;
  void (*call_)(void*, int64_t, int64_t, int);
};

class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const;

  // Calls body(begin, end, thread) over disjoint ranges that cover [0, count); returns when all are done. The first
  // exception thrown by a body is thrown again here, and the pool stays usable. Not reentrant.
  // Ranges begin at multiples of `grain` where there are two of these for every thread; else each gets one range, and
  // all are as long.
  void parallel_for(int64_t count, int64_t grain, RangeBody body);
  void parallel_for(int64_t count, RangeBody body) { parallel_for(count, 1, body); }

  // Seconds that the threads have spent in bodies, all added up, from the first call of this on. Of a job's time, times
  // the number of threads, the rest went to waiting.
  double seconds_in_bodies();

  // What the next parallel_for will read, split among the threads as its range will be: threads that have nothing left
  // to do fetch the beginning of their share into their cache. Only a hint; the memory must stay readable until then.
  void expect(const void* memory, size_t bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cutaway
