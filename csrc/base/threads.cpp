#include "base/threads.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#define CUTAWAY_PAUSE() _mm_pause()
#else
#define CUTAWAY_PAUSE() std::this_thread::yield()
#endif

namespace cutaway {
namespace {

// How long a worker spins before it sleeps: stages follow each other within microseconds, tokens within milliseconds.
constexpr int kSpins = 4000;

// Enough to even out threads of unequal speed, few enough that claiming costs nothing.
constexpr int kChunksPerThread = 4;

}  // namespace

// A job is cut into chunks that threads claim one by one, the caller among them. A worker that the system has not woken
// yet costs nothing: the others do its share. The ticket holds the job's number, its chunks and the next one to claim
// in one word, so that a late worker can never claim from a job that is over.
struct Pool::State {
  int threads;
  pid_t owner = 0;  // a forked child has no workers: it starts its own
  std::vector<std::thread> workers;

  const std::function<void(int64_t, int64_t, int)>* body = nullptr;
  int64_t count = 0;
  std::atomic<uint64_t> ticket{0};
  std::atomic<uint64_t> done{0};
  std::atomic<bool> stop{false};
  std::atomic<int> asleep{0};
  std::mutex mutex;
  std::condition_variable wake;
  std::exception_ptr failure;
  std::mutex failure_mutex;

  static uint64_t job(uint64_t ticket) { return ticket >> 24; }
  static uint64_t chunks(uint64_t ticket) { return ticket >> 12 & 0xfff; }
  static uint64_t next(uint64_t ticket) { return ticket & 0xfff; }

  void work(uint64_t mine, int thread) {
    for (;;) {
      uint64_t t = ticket.load(std::memory_order_acquire);
      if (job(t) != mine || next(t) >= chunks(t)) return;
      if (!ticket.compare_exchange_weak(t, t + 1, std::memory_order_acq_rel)) continue;
      const auto i = static_cast<int64_t>(next(t)), n = static_cast<int64_t>(chunks(t));
      try {
        (*body)(count * i / n, count * (i + 1) / n, thread);
      } catch (...) {
        std::lock_guard lock(failure_mutex);
        if (!failure) failure = std::current_exception();
      }
      done.fetch_add(1, std::memory_order_release);
    }
  }

  void wait_for_work(uint64_t seen) {
    for (int i = 0; i < kSpins; ++i) {
      if (job(ticket.load(std::memory_order_acquire)) != seen || stop.load(std::memory_order_relaxed)) return;
      CUTAWAY_PAUSE();
    }
    std::unique_lock lock(mutex);
    asleep.fetch_add(1);
    wake.wait(lock, [&] { return job(ticket.load()) != seen || stop.load(); });
    asleep.fetch_sub(1);
  }

  void loop(int thread) {
    for (uint64_t seen = 0;;) {
      wait_for_work(seen);
      if (stop.load()) return;
      seen = job(ticket.load(std::memory_order_acquire));
      work(seen, thread);
    }
  }

  void start() {
    owner = getpid();
    for (int thread = 1; thread < threads; ++thread) workers.emplace_back([this, thread] { loop(thread); });
  }

  // Only in the process that has the workers.
  void finish() {
    {
      std::lock_guard lock(mutex);
      stop.store(true);
    }
    wake.notify_all();
    for (auto& worker : workers) worker.join();
  }
};

Pool::Pool(int threads) : state_(std::make_unique<State>()) { state_->threads = std::max(1, threads); }

Pool::~Pool() {
  if (state_->owner && state_->owner != getpid()) {
    // After fork the workers exist only in the parent; destroying what they wait on would wait for them.
    for (auto& worker : state_->workers) worker.detach();
    (void)state_.release();
  } else {
    state_->finish();
  }
}

int Pool::threads() const { return state_->threads; }

void Pool::parallel_for(int64_t count, const std::function<void(int64_t, int64_t, int)>& body) {
  State* s = state_.get();
  if (count <= 0) return;
  if (s->threads == 1 || count == 1) return body(0, count, 0);
  if (s->owner != getpid()) {
    if (s->owner) {  // forked: the parent's locks and threads are not ours
      int threads = s->threads;
      for (auto& worker : s->workers) worker.detach();
      (void)state_.release();
      state_ = std::make_unique<State>();
      s = state_.get();
      s->threads = threads;
    }
    s->start();
  }
  s->body = &body;
  s->count = count;
  s->done.store(0, std::memory_order_relaxed);
  const auto chunks = static_cast<uint64_t>(std::min<int64_t>({count, int64_t{s->threads} * kChunksPerThread, 0xfff}));
  const uint64_t mine = (State::job(s->ticket.load()) + 1) & 0xffffffffff;
  {
    // The lock orders this store against a worker that is about to sleep.
    std::lock_guard lock(s->mutex);
    s->ticket.store(mine << 24 | chunks << 12, std::memory_order_release);
  }
  if (s->asleep.load()) s->wake.notify_all();
  s->work(mine, 0);
  for (int spins = 0; s->done.load(std::memory_order_acquire) != chunks; ++spins) {
    if (spins > kSpins) std::this_thread::yield();
    else CUTAWAY_PAUSE();
  }
  if (s->failure) {
    std::exception_ptr failure = std::exchange(s->failure, nullptr);
    std::rethrow_exception(failure);
  }
}

}  // namespace cutaway
