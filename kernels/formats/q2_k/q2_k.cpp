#include "formats/q2_k/q2_k.h"

#include "formats/pack.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto b = *static_cast<const BlockQ2_K*>(block);
  for (int j = 0; j < 8; ++j)
    for (int l = 0; l < 32; ++l) out->code[32 * j + l] = b.qs[32 * (j / 4) + l] >> 2 * (j % 4) & 3;
  out->d = b.d;
  out->m = b.dmin;
  for (int i = 0; i < 16; ++i) {
    out->scale[i] = b.scales[i] & 15;
    out->minimum[i] = b.scales[i] >> 4;
  }
}

}  // namespace

constinit const Format format_q2_k{.name = "q2_k",
                                   .gguf_id = 10,
                                   .block = 256,
                                   .block_bytes = 84,
                                   .payload = Payload::codes,
                                   .packing = packing_q2_k,
                                   .table = nullptr,
                                   .unpack_row = unpack_row_of_codes<format_q2_k>,
                                   .unpack_codes = unpack_codes,
                                   .pack_strip = pack_codes<format_q2_k>};

}  // namespace cutaway
