#include "top_k.h"

namespace cutaway::CUTAWAY_TARGET {

void top_k(const TopK& a, int64_t begin, int64_t end, std::byte*) {
  for (int64_t t = begin; t < end; ++t) {
    const float* x = a.x + t * a.X;
    int32_t* chosen = a.indices + t * a.k;
    for (int64_t i = 0; i < a.k; ++i) {
      int32_t best = -1;
      for (int32_t c = 0; c < a.X; ++c) {
        bool taken = false;
        for (int64_t j = 0; j < i; ++j) taken = taken || chosen[j] == c;
        if (taken) continue;
        const bool nan_so_far = best >= 0 && x[best] != x[best];
        if (best < 0 || x[c] > x[best] || (nan_so_far && x[c] == x[c])) best = c;
      }
      chosen[i] = best;
    }
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
