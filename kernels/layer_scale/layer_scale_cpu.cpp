#include "layer_scale.h"
#include "row.h"

namespace cutaway::CUTAWAY_TARGET {

void layer_scale(const LayerScale& a, int64_t begin, int64_t end, std::byte*) {
  for (int64_t t = begin; t < end; ++t) {
    const float* x = a.x + t * a.D;
    a.scale[t] = row_scale(x, a.D, row_mean(x, a.D), a.eps);
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
