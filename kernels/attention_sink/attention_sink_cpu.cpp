#include "attention_sink.h"
#include "row_softmax.h"

namespace cutaway::CUTAWAY_TARGET {

void attention_sink(const AttentionSink& a, int64_t begin, int64_t end, std::byte* scratch) {
  for (int64_t r = begin; r < end; ++r)
    a.y[r] = row_softmax(a.scores + r * a.S, reinterpret_cast<float*>(scratch), 0, a.S, a.sinks[r % a.H]);
}

}  // namespace cutaway::CUTAWAY_TARGET
