#include "base/threads.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
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

using Clock = std::chrono::steady_clock;

// How long a worker spins before it sleeps: stages follow each other within microseconds, tokens within a millisecond.
constexpr auto kSpin = std::chrono::microseconds(500);
constexpr int kPausesPerLook = 64;  // between looks at the clock

// Enough to even out threads of unequal speed, few enough that claiming costs nothing: of many threads one is slow.
int64_t chunks_per_slice(int threads) { return threads < 8 ? 4 : 8; }

// What a thread fetches of its share in the next job: a part of its L2.
constexpr size_t kAhead = size_t{256} << 10, kLine = 64, kLinesPerSpin = 4;

// A thread is late when the others, done with their part, wait for it longer than half of that and kLate: something
// else runs on its core, and each of its chunks lasts until it gets the core back. Late twice within kWatch, a worker
// rests, and the others do its share; late again as soon as it is back, it rests twice as long.
constexpr auto kLate = std::chrono::microseconds(500);
constexpr auto kWatch = std::chrono::milliseconds(50);
constexpr auto kRest = std::chrono::milliseconds(20), kLongestRest = std::chrono::milliseconds(640);

constexpr int kSpinsBeforeYield = 4000;

constexpr int kChunkBits = 16;
uint64_t job_of(uint64_t word) { return word >> kChunkBits; }
int64_t chunk_of(uint64_t word) { return static_cast<int64_t>(word & ((uint64_t{1} << kChunkBits) - 1)); }
uint64_t word_of(uint64_t job, int64_t chunk) { return job << kChunkBits | static_cast<uint64_t>(chunk); }

}  // namespace

// A job's range is cut into one slice per thread and each slice into chunks. A thread claims the chunks of its own
// slice and then those that others have left: the same thread reads the same weights every time, and one that the
// system has not woken yet costs nothing. Words that different threads write lie on lines of their own.
struct Pool::State {
  struct alignas(kLine) Word {
    std::atomic<uint64_t> value{0};
  };
  struct alignas(kLine) Thread {
    std::atomic<uint64_t> done{0};     // a job, and how many of its chunks
    std::atomic<bool> holding{false};  // a chunk
    std::atomic<bool> resting{false};  // takes no more, until the caller says so
    std::atomic<Clock::rep> ended{0};  // when it last found nothing left to claim
  };
  struct alignas(kLine) Job {
    std::atomic<uint64_t> word{0};  // its number, and the chunks of each slice
    // Read only by who holds a chunk of the job, which cannot end before that chunk is done.
    const RangeBody* body = nullptr;
    int64_t count = 0;
    std::atomic<const char*> ahead{nullptr};
    std::atomic<size_t> ahead_bytes{0};
  };

  int threads;
  pid_t owner = 0;  // a forked child has no workers: it starts its own
  std::vector<std::thread> workers;
  Job job;
  std::unique_ptr<Word[]> claimed;  // of each slice: the job it was claimed for last, and how many chunks
  std::unique_ptr<Thread[]> each;
  std::atomic<bool> stop{false};
  std::atomic<int> asleep{0};
  std::mutex mutex;
  std::condition_variable wake;
  std::exception_ptr failure;
  std::mutex failure_mutex;

  // Of the caller alone: how many rest, how long, until when; and when a worker was last late or last sent back to
  // work.
  int resting = 0;
  Clock::duration rest = kRest;
  Clock::time_point rest_ends, watch_began;

  explicit State(int n)
      : threads(n),
        claimed(std::make_unique<Word[]>(static_cast<size_t>(n))),
        each(std::make_unique<Thread[]>(static_cast<size_t>(n))) {}

  // The next chunk of a slice, or -1. A word of an older job means that nobody has claimed anything of this one.
  int64_t claim(int slice, uint64_t word) {
    std::atomic<uint64_t>& mine = claimed[static_cast<size_t>(slice)].value;
    for (uint64_t seen = mine.load(std::memory_order_relaxed);;) {
      if (job_of(seen) > job_of(word)) return -1;
      const int64_t next = job_of(seen) == job_of(word) ? chunk_of(seen) : 0;
      if (next >= chunk_of(word)) return -1;
      if (mine.compare_exchange_weak(seen, word_of(job_of(word), next + 1), std::memory_order_acq_rel)) return next;
    }
  }

  void work(uint64_t word, int thread) {
    Thread& own = each[static_cast<size_t>(thread)];
    int64_t finished = 0;
    own.holding.store(true, std::memory_order_relaxed);
    for (int i = 0; i < threads; ++i) {
      const int slice = (thread + i) % threads;
      for (int64_t chunk; !own.resting.load(std::memory_order_relaxed) && (chunk = claim(slice, word)) >= 0;) {
        const int64_t parts = threads * chunk_of(word), part = slice * chunk_of(word) + chunk, count = job.count;
        const int64_t begin = count * part / parts, end = count * (part + 1) / parts;
        try {
          if (begin < end) (*job.body)(begin, end, thread);
        } catch (...) {
          std::lock_guard lock(failure_mutex);
          if (!failure) failure = std::current_exception();
        }
        own.done.store(word_of(job_of(word), ++finished), std::memory_order_release);
      }
    }
    own.holding.store(false, std::memory_order_relaxed);
    own.ended.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
  }

  bool is_done(uint64_t word) const {
    int64_t finished = 0;
    for (int thread = 0; thread < threads; ++thread) {
      const uint64_t by = each[static_cast<size_t>(thread)].done.load(std::memory_order_acquire);
      if (job_of(by) == job_of(word)) finished += chunk_of(by);
    }
    return finished == threads * chunk_of(word);
  }

  // Returns the word of a job after `seen`.
  uint64_t wait_for_job(uint64_t seen, int thread) {
    const char* ahead = job.ahead.load(std::memory_order_relaxed);
    const size_t bytes = job.ahead_bytes.load(std::memory_order_relaxed), share = bytes / static_cast<size_t>(threads);
    if (ahead) ahead += share * static_cast<size_t>(thread);
    size_t fetched = 0;
    const size_t most = ahead ? std::min(share, kAhead) : 0;
    const auto began = Clock::now();
    for (;;) {
      for (int i = 0; i < kPausesPerLook; ++i) {
        const uint64_t word = job.word.load(std::memory_order_acquire);
        if (word != seen || stop.load(std::memory_order_relaxed)) return word;
        for (size_t line = 0; line < kLinesPerSpin && fetched < most; ++line, fetched += kLine)
          __builtin_prefetch(ahead + fetched, 0, 2);
        if (fetched >= most) CUTAWAY_PAUSE();
      }
      if (Clock::now() - began > kSpin) break;
    }
    std::unique_lock lock(mutex);
    asleep.fetch_add(1);
    wake.wait(lock, [&] { return job.word.load() != seen || stop.load(); });
    asleep.fetch_sub(1);
    return job.word.load();
  }

  static bool is_late(Clock::duration waited, Clock::duration part) { return waited > part / 2 + kLate; }

  void wait_for_workers(uint64_t word, Clock::time_point began, Clock::time_point ended) {
    bool late = false;
    for (int spins = 0; !is_done(word); ++spins) {
      if (spins < kSpinsBeforeYield) {
        CUTAWAY_PAUSE();
        continue;
      }
      std::this_thread::yield();
      const auto now = Clock::now();
      if (late || !is_late(now - ended, ended - began)) continue;
      someone_is_late(now);
      late = true;
    }
  }

  // Did the workers of a job that took this long wait for the caller?
  void look_at_caller(uint64_t word, Clock::time_point began, Clock::time_point ended) {
    Clock::rep last = 0;
    for (int thread = 1; thread < threads; ++thread) {
      const Thread& it = each[static_cast<size_t>(thread)];
      if (job_of(it.done.load()) == job_of(word)) last = std::max(last, it.ended.load(std::memory_order_relaxed));
    }
    const auto others = Clock::time_point(Clock::duration(last)) - began;  // their part
    if (others > Clock::duration::zero() && is_late(ended - began - others, others)) someone_is_late(ended);
  }

  // Those who hold a chunk rest; if nobody does, it is the caller who was late: the last worker makes room for it.
  void someone_is_late(Clock::time_point now) {
    if (now - std::exchange(watch_began, now) > kWatch) return;
    rest = now - rest_ends < kWatch ? std::min<Clock::duration>(2 * rest, kLongestRest) : kRest;
    rest_ends = now + rest;
    const int before = resting;
    for (int thread = 1; thread < threads; ++thread)
      if (each[static_cast<size_t>(thread)].holding.load(std::memory_order_relaxed)) set_resting(thread, true);
    for (int thread = threads - 1; thread > 0 && resting == before; --thread) set_resting(thread, true);
  }

  void set_resting(int thread, bool value) {
    resting += each[static_cast<size_t>(thread)].resting.exchange(value) == value ? 0 : value ? 1 : -1;
  }

  void end_rest(Clock::time_point now) {
    watch_began = now;
    {
      std::lock_guard lock(mutex);
      for (int thread = 1; thread < threads; ++thread) set_resting(thread, false);
    }
    wake.notify_all();
  }

  void loop(int thread) {
    for (uint64_t seen = 0;;) {
      if (each[static_cast<size_t>(thread)].resting.load()) {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return !each[static_cast<size_t>(thread)].resting.load() || stop.load(); });
      }
      seen = wait_for_job(seen, thread);
      if (stop.load()) return;
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

Pool::Pool(int threads) : state_(std::make_unique<State>(std::max(1, threads))) {}

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

void Pool::expect(const void* memory, size_t bytes) {
  state_->job.ahead.store(static_cast<const char*>(memory), std::memory_order_relaxed);
  state_->job.ahead_bytes.store(bytes, std::memory_order_relaxed);
}

void Pool::parallel_for(int64_t count, int64_t grain, RangeBody body) {
  State* s = state_.get();
  if (count <= 0) return;
  if (s->threads == 1 || count == 1) return body(0, count, 0);
  if (s->owner != getpid()) {
    if (s->owner) {  // forked: the parent's locks and threads are not ours
      const int threads = s->threads;
      for (auto& worker : s->workers) worker.detach();
      (void)state_.release();
      state_ = std::make_unique<State>(threads);
      s = state_.get();
    }
    s->start();
  }
  const auto began = Clock::now();
  if (s->resting && began > s->rest_ends) s->end_rest(began);
  const int64_t slice = (count + s->threads - 1) / s->threads;
  const int64_t chunks = std::clamp<int64_t>(slice / grain, 1, chunks_per_slice(s->threads));
  const uint64_t word = word_of(job_of(s->job.word.load(std::memory_order_relaxed)) + 1, chunks);
  s->job.body = &body;
  s->job.count = count;
  s->job.word.store(word);
  // Either the store above is seen by a worker about to sleep, or its count is seen here: both are sequentially
  // consistent. The lock is for one that has counted itself and does not wait yet.
  if (s->asleep.load()) {
    { std::lock_guard lock(s->mutex); }
    s->wake.notify_all();
  }
  s->work(word, 0);
  const auto ended = Clock::now();
  if (!s->is_done(word)) s->wait_for_workers(word, began, ended);
  else if (ended - began > kLate) s->look_at_caller(word, began, ended);
  if (s->failure) {
    std::exception_ptr failure = std::exchange(s->failure, nullptr);
    std::rethrow_exception(failure);
  }
}

}  // namespace cutaway
