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
int64_t chunks_per_slice(int threads) { return threads < 8 ? 4 : 16; }

// What a thread fetches of its share in the next job: a part of its L2.
constexpr size_t kAhead = size_t{256} << 10, kLine = 64, kLinesPerSpin = 4;

// A thread is late when the others, done with their part, wait for it longer than half of that and kLate: something
// else runs on its core, and each of its chunks lasts until it gets the core back. While one of N workers rests, the
// others lose an N-th of the time by doing its share: so it rests when, late at least twice within kWatch, it has made
// them wait for longer than that. When that happens again soon after it is back, it rests twice as long; the fewer
// threads, the longer it takes to show.
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
    std::atomic<Clock::rep> busy{0};   // in bodies, while the pool is timed

    // Of the caller alone: since when it watches this thread, how often and how long it has been late since then.
    Clock::time_point watched;
    int times = 0;
    Clock::duration late{};
    Clock::duration rest = kRest;
    Clock::time_point rest_ends;
  };
  struct alignas(kLine) Job {
    std::atomic<uint64_t> word{0};  // its number, and the chunks of each slice
    // Read only by who holds a chunk of the job, which cannot end before that chunk is done.
    const RangeBody* body = nullptr;
    int64_t count = 0, grain = 1;
    std::atomic<const char*> ahead{nullptr};
    std::atomic<size_t> ahead_bytes{0};
  };

  int threads;
  pid_t owner = 0;  // a forked child has no workers: it starts its own
  std::vector<std::thread> workers;
  Job job;
  std::unique_ptr<Word[]> claimed;  // of each slice: the job it was claimed for last, and how many chunks
  std::unique_ptr<Thread[]> each;
  std::atomic<bool> stop{false}, timed{false};
  std::atomic<int> asleep{0};
  std::mutex mutex;
  std::condition_variable wake;
  std::exception_ptr failure;
  std::mutex failure_mutex;

  // Of the caller alone: how many rest, and when the first of them will have rested.
  int resting = 0;
  Clock::time_point next_end;

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

  void run(const RangeBody& body, int64_t begin, int64_t end, int thread) {
    if (!timed.load(std::memory_order_relaxed)) return body(begin, end, thread);
    const auto began = Clock::now();
    body(begin, end, thread);
    each[static_cast<size_t>(thread)].busy.fetch_add((Clock::now() - began).count(), std::memory_order_relaxed);
  }

  void work(uint64_t word, int thread) {
    Thread& own = each[static_cast<size_t>(thread)];
    int64_t finished = 0;
    own.holding.store(true, std::memory_order_relaxed);
    for (int i = 0; i < threads; ++i) {
      const int slice = (thread + i) % threads;
      for (int64_t chunk; !own.resting.load(std::memory_order_relaxed) && (chunk = claim(slice, word)) >= 0;) {
        const int64_t parts = threads * chunk_of(word), part = slice * chunk_of(word) + chunk;
        const int64_t grains = (job.count + job.grain - 1) / job.grain;
        const int64_t begin = grains * part / parts * job.grain;
        const int64_t end = std::min(job.count, grains * (part + 1) / parts * job.grain);
        try {
          if (begin < end) run(*job.body, begin, end, thread);
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
    std::vector<int> late;  // those who hold a chunk when the wait becomes too long
    for (int spins = 0; !is_done(word); ++spins) {
      if (spins < kSpinsBeforeYield) {
        CUTAWAY_PAUSE();
        continue;
      }
      std::this_thread::yield();
      if (!late.empty() || !is_late(Clock::now() - ended, ended - began)) continue;
      for (int thread = 1; thread < threads; ++thread)
        if (each[static_cast<size_t>(thread)].holding.load(std::memory_order_relaxed)) late.push_back(thread);
    }
    for (int thread : late) was_late(thread, Clock::now() - ended);
  }

  // Did the workers of a job that took this long wait for the caller?
  void look_at_caller(uint64_t word, Clock::time_point began, Clock::time_point ended) {
    Clock::rep last = 0;
    for (int thread = 1; thread < threads; ++thread) {
      const Thread& it = each[static_cast<size_t>(thread)];
      if (job_of(it.done.load()) == job_of(word)) last = std::max(last, it.ended.load(std::memory_order_relaxed));
    }
    const auto others = Clock::time_point(Clock::duration(last)) - began;  // their part
    if (others > Clock::duration::zero() && is_late(ended - began - others, others))
      was_late(0, ended - began - others);
  }

  void was_late(int thread, Clock::duration waited) {
    const auto now = Clock::now();
    Thread& it = each[static_cast<size_t>(thread)];
    if (now - it.watched > kWatch) it.watched = now, it.times = 0, it.late = {};
    it.late += waited;
    if (++it.times < 2 || it.late < kRest / threads) return;
    // The caller cannot rest: a worker makes room for it.
    for (int last = threads - 1; thread == 0 && last > 0; --last)
      if (!each[static_cast<size_t>(last)].resting.load()) thread = last;
    if (thread > 0) begin_rest(each[static_cast<size_t>(thread)], now);
    it.times = 0, it.late = {};
  }

  void begin_rest(Thread& it, Clock::time_point now) {
    it.rest = now - it.rest_ends < 8 * kWatch / threads ? std::min<Clock::duration>(2 * it.rest, kLongestRest) : kRest;
    it.rest_ends = now + it.rest;
    if (!resting || it.rest_ends < next_end) next_end = it.rest_ends;
    resting += !it.resting.exchange(true);
  }

  void end_rests(Clock::time_point now) {
    next_end = Clock::time_point::max();
    {
      std::lock_guard lock(mutex);
      for (int thread = 1; thread < threads; ++thread) {
        Thread& it = each[static_cast<size_t>(thread)];
        if (!it.resting.load(std::memory_order_relaxed)) continue;
        if (now > it.rest_ends) it.resting.store(false), --resting;
        else next_end = std::min(next_end, it.rest_ends);
      }
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

double Pool::seconds_in_bodies() {
  state_->timed.store(true, std::memory_order_relaxed);
  Clock::duration all{};
  for (int thread = 0; thread < state_->threads; ++thread)
    all += Clock::duration(state_->each[static_cast<size_t>(thread)].busy.load(std::memory_order_relaxed));
  return std::chrono::duration<double>(all).count();
}

void Pool::expect(const void* memory, size_t bytes) {
  state_->job.ahead.store(static_cast<const char*>(memory), std::memory_order_relaxed);
  state_->job.ahead_bytes.store(bytes, std::memory_order_relaxed);
}

void Pool::parallel_for(int64_t count, int64_t grain, RangeBody body) {
  State* s = state_.get();
  if (count <= 0) return;
  if (s->threads == 1 || count == 1) return s->run(body, 0, count, 0);
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
  if (s->resting && began > s->next_end) s->end_rests(began);
  int64_t chunks = 1;
  if (count < 2 * grain * s->threads) grain = 1;
  else chunks = std::clamp<int64_t>(count / grain / s->threads, 1, chunks_per_slice(s->threads));
  const uint64_t word = word_of(job_of(s->job.word.load(std::memory_order_relaxed)) + 1, chunks);
  s->job.body = &body;
  s->job.count = count;
  s->job.grain = grain;
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
