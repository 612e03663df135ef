#include "expert_weights.h"
#include "row_softmax.h"

namespace cutaway::CUTAWAY_TARGET {

void expert_weights(const ExpertWeights& a, int64_t begin, int64_t end, std::byte* scratch) {
  float* row = reinterpret_cast<float*>(scratch);
  for (int64_t t = begin; t < end; ++t) {
    for (int64_t i = 0; i < a.A; ++i) row[i] = a.x[t * a.X + a.indices[t * a.A + i]];
    row_softmax(row, a.w + t * a.A, 0, a.A, -__builtin_inff());
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
