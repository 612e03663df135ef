// embed: y[t] = table[ids[t]]
//
// Shapes   ids i32 [T], table [V, D] packed -> y [T, D]           Formats  table in any
// Refuses  an id outside [0, V): never clamped                    Cost     T rows of the table + 4 T D bytes
#pragma once

#include "formats/packed.h"
#include "op.h"

namespace cutaway {

struct Embed {
  const int32_t* ids;  // [T]
  const void* table;   // packed strips
  float* y;            // [T, D]
  int64_t T, V, D;
  const Format* format;  // of the table

  static Shape shape(const Call& call);
  static Embed bind(const Call& call);
  int64_t units() const { return T; }
  size_t scratch_bytes() const { return 0; }
};

CUTAWAY_DECLARE(void embed(const Embed& a, int64_t begin, int64_t end, std::byte*))

}  // namespace cutaway
