#include "embed.h"

namespace cutaway::CUTAWAY_TARGET {

void embed(const Embed& a, int64_t begin, int64_t end, std::byte*) {
  for (int64_t t = begin; t < end; ++t) unpack_packed_row(*a.format, a.table, a.D, a.ids[t], a.y + t * a.D);
}

}  // namespace cutaway::CUTAWAY_TARGET
