#include "formats/q2_k/q2_k.h"

#include "formats/f16_value.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto& b = *static_cast<const BlockQ2_K*>(block);
  for (int e = 0; e < 256; ++e) {
    int n = e / 128, t = e % 128 / 32, l = e % 32;
    out->code[e] = b.qs[32 * n + l] >> 2 * t & 3;
  }
  const float d = f16_value(b.d), dmin = f16_value(b.dmin);
  for (int i = 0; i < 16; ++i) {
    out->scale[i] = d * static_cast<float>(b.scales[i] & 15);
    out->minimum[i] = -(dmin * static_cast<float>(b.scales[i] >> 4));
  }
}

}  // namespace

constinit const Format format_q2_k{.name = "q2_k",
                                   .gguf_id = 10,
                                   .block = 256,
                                   .block_bytes = 84,
                                   .payload = Payload::u4,
                                   .group = 16,
                                   .offset = 0,
                                   .table = nullptr,
                                   .minimums = true,
                                   .wide_scale = true,
                                   .unpack_row = unpack_row_of_codes<format_q2_k>,
                                   .unpack_codes = unpack_codes};

}  // namespace cutaway
