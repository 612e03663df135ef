#include "formats/q3_k/q3_k.h"

#include "formats/f16_value.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto& b = *static_cast<const BlockQ3_K*>(block);
  for (int e = 0; e < 256; ++e) {
    int n = e / 128, t = e % 128 / 32, l = e % 32;
    int low = b.qs[32 * n + l] >> 2 * t & 3;
    int top = b.hmask[l] >> (4 * n + t) & 1;
    out->code[e] = static_cast<uint8_t>(low | top << 2);
  }
  const float d = f16_value(b.d);
  for (int i = 0; i < 16; ++i) {
    int low = b.scales[i % 8] >> 4 * (i / 8) & 15;
    int high = b.scales[8 + i % 4] >> 2 * (i / 4) & 3;
    out->scale[i] = d * static_cast<float>((low | high << 4) - 32);
  }
}

}  // namespace

constinit const Format format_q3_k{.name = "q3_k",
                                   .gguf_id = 11,
                                   .block = 256,
                                   .block_bytes = 110,
                                   .payload = Payload::u4,
                                   .group = 16,
                                   .offset = 4,
                                   .table = nullptr,
                                   .minimums = false,
                                   .wide_scale = true,
                                   .unpack_row = unpack_row_of_codes<format_q3_k>,
                                   .unpack_codes = unpack_codes};

}  // namespace cutaway
