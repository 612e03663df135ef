#include "formats/q6_k/q6_k.h"

#include "formats/pack.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto b = *static_cast<const BlockQ6_K*>(block);
  for (int n = 0; n < 2; ++n) {
    const uint8_t *ql = b.ql + 64 * n, *qh = b.qh + 32 * n;
    uint8_t* code = out->code + 128 * n;
    for (int l = 0; l < 32; ++l) {
      code[l] = static_cast<uint8_t>((ql[l] & 15) | (qh[l] & 3) << 4);
      code[32 + l] = static_cast<uint8_t>((ql[32 + l] & 15) | (qh[l] >> 2 & 3) << 4);
      code[64 + l] = static_cast<uint8_t>(ql[l] >> 4 | (qh[l] >> 4 & 3) << 4);
      code[96 + l] = static_cast<uint8_t>(ql[32 + l] >> 4 | qh[l] >> 6 << 4);
    }
  }
  out->d = b.d;
  for (int i = 0; i < 16; ++i) out->scale[i] = b.scales[i];
}

}  // namespace

constinit const Format format_q6_k{.name = "q6_k",
                                   .gguf_id = 14,
                                   .block = 256,
                                   .block_bytes = 210,
                                   .payload = Payload::codes,
                                   .packing = packing_q6_k,
                                   .table = nullptr,
                                   .unpack_row = unpack_row_of_codes<format_q6_k>,
                                   .unpack_codes = unpack_codes,
                                   .pack_strip = pack_codes<format_q6_k>};

}  // namespace cutaway
