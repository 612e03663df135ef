// What this machine can do at most, by loops that do nothing else: read memory, multiply 8-bit codes, multiply floats.
// Kernels' times are held against these. The products' operands stay in registers, so only the units count.
#pragma once

#include "op.h"

namespace cutaway {

struct Peaks {
  double gbs;      // 1e9 bytes read a second
  double int8;     // operations a second, a product and its sum counted as two
  double float32;  // the same
};

// lines: of 64 bytes. dots: vectors of 64 products of 8-bit codes. fmas: vectors of 16 float32 products and sums.
// start: 256 floats that the sums begin with, so that no two of them are one.
CUTAWAY_DECLARE(float read_memory(const float* p, int64_t lines))
CUTAWAY_DECLARE(float multiply_int8(int64_t dots, const float* start))
CUTAWAY_DECLARE(float multiply_float32(int64_t fmas, const float* start))

// The best of `runs`, with the loops of `target`; memory is read in `buffer`, which should exceed every cache.
Peaks measure_peaks(Pool& pool, const std::string& target, const float* buffer, int64_t lines, int runs);

}  // namespace cutaway
