#include "rms_norm.h"
#include "row.h"

namespace cutaway::CUTAWAY_TARGET {

void rms_norm(const RmsNorm& a, int64_t begin, int64_t end, std::byte*) {
  const int tail = static_cast<int>(a.D % 16);
  const int64_t whole = a.D - tail;
  for (int64_t t = begin; t < end; ++t) {
    const float* x = a.x + t * a.D;
    float* y = a.y + t * a.D;
    const f32x16 scale = broadcast(row_scale(x, a.D, 0.0f, a.eps));
    for (int64_t i = 0; i < whole; i += 16) store(y + i, load(x + i) / scale * load(a.w + i));
    if (tail) store_first(y + whole, load_first(x + whole, tail) / scale * load_first(a.w + whole, tail), tail);
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
