#include "rms_scale.h"
#include "row.h"

namespace cutaway::CUTAWAY_TARGET {

void rms_scale(const RmsScale& a, int64_t begin, int64_t end, std::byte*) {
  for (int64_t t = begin; t < end; ++t) a.scale[t] = row_scale(a.x + t * a.D, a.D, 0.0f, a.eps);
}

}  // namespace cutaway::CUTAWAY_TARGET
