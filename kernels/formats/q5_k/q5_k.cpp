#include "formats/q5_k/q5_k.h"

#include "formats/k_scales.h"
#include "formats/pack.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto b = *static_cast<const BlockQ5_K*>(block);
  unpack_k_scales(b.d, b.dmin, b.scales, out);
  for (int g = 0; g < 4; ++g)
    for (int l = 0; l < 32; ++l) {
      out->code[64 * g + l] = static_cast<uint8_t>((b.qs[32 * g + l] & 15) | (b.qh[l] >> 2 * g & 1) << 4);
      out->code[64 * g + 32 + l] = static_cast<uint8_t>(b.qs[32 * g + l] >> 4 | (b.qh[l] >> (2 * g + 1) & 1) << 4);
    }
}

}  // namespace

constinit const Format format_q5_k{.name = "q5_k",
                                   .gguf_id = 13,
                                   .block = 256,
                                   .block_bytes = 176,
                                   .payload = Payload::codes,
                                   .packing = packing_q5_k,
                                   .table = nullptr,
                                   .unpack_row = unpack_row_of_codes<format_q5_k>,
                                   .unpack_codes = unpack_codes,
                                   .pack_strip = pack_codes<format_q5_k>};

}  // namespace cutaway
