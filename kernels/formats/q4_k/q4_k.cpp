#include "formats/q4_k/q4_k.h"

#include "formats/k_scales.h"
#include "formats/pack.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto b = *static_cast<const BlockQ4_K*>(block);
  unpack_k_scales(b.d, b.dmin, b.scales, out);
  for (int g = 0; g < 4; ++g)
    for (int l = 0; l < 32; ++l) {
      out->code[64 * g + l] = b.qs[32 * g + l] & 15;
      out->code[64 * g + 32 + l] = b.qs[32 * g + l] >> 4;
    }
}

}  // namespace

constinit const Format format_q4_k{.name = "q4_k",
                                   .gguf_id = 12,
                                   .block = 256,
                                   .block_bytes = 144,
                                   .payload = Payload::codes,
                                   .packing = packing_q4_k,
                                   .table = nullptr,
                                   .unpack_row = unpack_row_of_codes<format_q4_k>,
                                   .unpack_codes = unpack_codes,
                                   .pack_strip = pack_codes<format_q4_k>};

}  // namespace cutaway
