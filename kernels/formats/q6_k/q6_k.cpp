#include "formats/q6_k/q6_k.h"

#include "formats/f16_value.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto& b = *static_cast<const BlockQ6_K*>(block);
  for (int e = 0; e < 256; ++e) {
    int n = e / 128, t = e % 128 / 32, l = e % 32;
    int low = b.ql[64 * n + 32 * (t % 2) + l] >> 4 * (t / 2) & 15;
    int high = b.qh[32 * n + l] >> 2 * t & 3;
    out->code[e] = static_cast<uint8_t>(low | high << 4);
  }
  const float d = f16_value(b.d);
  for (int i = 0; i < 16; ++i) out->scale[i] = d * static_cast<float>(b.scales[i]);
}

}  // namespace

constinit const Format format_q6_k{.name = "q6_k",
                                   .gguf_id = 14,
                                   .block = 256,
                                   .block_bytes = 210,
                                   .payload = Payload::u8,
                                   .group = 16,
                                   .offset = 32,
                                   .table = nullptr,
                                   .minimums = false,
                                   .wide_scale = true,
                                   .unpack_row = unpack_row_of_codes<format_q6_k>,
                                   .unpack_codes = unpack_codes};

}  // namespace cutaway
