// The only arithmetic for sizes, offsets and bounds that come from a file. Each function says false instead of
// wrapping; the caller turns that into an error that names the file, the tensor and the numbers.
#pragma once

#include <cstdint>

namespace cutaway::checked {

[[nodiscard]] inline bool add(uint64_t a, uint64_t b, uint64_t* out) { return !__builtin_add_overflow(a, b, out); }

[[nodiscard]] inline bool mul(uint64_t a, uint64_t b, uint64_t* out) { return !__builtin_mul_overflow(a, b, out); }

// `alignment` is a power of two.
[[nodiscard]] inline bool align_up(uint64_t a, uint64_t alignment, uint64_t* out) {
  uint64_t sum;
  if (!add(a, alignment - 1, &sum)) return false;
  *out = sum & ~(alignment - 1);
  return true;
}

// Whether [offset, offset + bytes) lies inside [0, size), in subtraction form so that nothing can wrap.
[[nodiscard]] inline bool inside(uint64_t offset, uint64_t bytes, uint64_t size) {
  return offset <= size && bytes <= size - offset;
}

}  // namespace cutaway::checked
