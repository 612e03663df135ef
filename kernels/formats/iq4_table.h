// The 16 values that iq4_nl and iq4_xs look their codes up in: finer steps where weights are dense. (ggml,
// kvalues_iq4nl)
#pragma once

#include <cstdint>

namespace cutaway {

inline constexpr int8_t iq4_table[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

}  // namespace cutaway
