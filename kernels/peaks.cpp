#include "peaks.h"

#include <atomic>
#include <chrono>

namespace cutaway {
namespace {

struct PeakLoops {
  const char* target;
  float (*read)(const float* p, int64_t lines);
  float (*int8)(int64_t dots, const float* start);
  float (*float32)(int64_t fmas, const float* start);
};

#define CUTAWAY_LOOPS(name) \
  { #name, name::read_memory, name::multiply_int8, name::multiply_float32 }
constexpr PeakLoops loops[] = {
#if defined(__x86_64__)
    CUTAWAY_LOOPS(avx512vnni), CUTAWAY_LOOPS(avx512), CUTAWAY_LOOPS(avx2vnni), CUTAWAY_LOOPS(avx2),
#endif
    CUTAWAY_LOOPS(scalar)};

constexpr int64_t kPiece = 1 << 14;  // lines that a thread reads in one go: 1 MiB
constexpr double kLeast = 0.01;      // seconds that a loop is timed for

std::atomic<float> seen;  // what the loops compute, so that they are not left out

template <class Body>
double seconds(Pool& pool, int64_t units, Body body) {
  const auto start = std::chrono::steady_clock::now();
  pool.parallel_for(units, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) seen = body(i);
  });
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <class Body>
double least_seconds(int runs, Body body) {
  double best = body();  // and once more: the first wakes the threads and the clocks
  for (int i = 0; i < runs; ++i) best = std::min(best, body());
  return best;
}

// Vectors a second of one of the loops of products: as many as take kLeast, in pieces that threads share out.
template <class Loop>
double rate(Pool& pool, int runs, Loop loop) {
  const int64_t units = 16 * pool.threads();
  for (int64_t n = 1000;; n *= 2) {
    const auto once = [&] { return seconds(pool, units, [&](int64_t) { return loop(n); }); };
    if (once() < kLeast) continue;
    return static_cast<double>(units * n) / least_seconds(runs, once);
  }
}

}  // namespace

Peaks measure_peaks(Pool& pool, const std::string& target, const float* buffer, int64_t lines, int runs) {
  const PeakLoops* use = loops;
  while (use->target != target) ++use;
  float start[256];
  for (int i = 0; i < 256; ++i) start[i] = static_cast<float>(i);
  const double read = least_seconds(runs, [&] {
    return seconds(pool, lines / kPiece, [&](int64_t i) { return use->read(buffer + i * kPiece * 16, kPiece); });
  });
  return {.gbs = static_cast<double>(lines / kPiece * kPiece * 64) / read / 1e9,
          .int8 = 2 * 64 * rate(pool, runs, [&](int64_t n) { return use->int8(n, start); }),
          .float32 = 2 * 16 * rate(pool, runs, [&](int64_t n) { return use->float32(n, start); })};
}

}  // namespace cutaway
