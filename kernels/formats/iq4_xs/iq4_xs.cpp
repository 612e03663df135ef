#include "formats/iq4_xs/iq4_xs.h"

#include "formats/iq4_table.h"
#include "formats/pack.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto b = *static_cast<const BlockIq4Xs*>(block);
  out->d = b.d;
  for (int j = 0; j < 8; ++j) {
    for (int l = 0; l < 16; ++l) {
      out->code[32 * j + l] = b.qs[16 * j + l] & 15;
      out->code[32 * j + 16 + l] = b.qs[16 * j + l] >> 4;
    }
    int low = b.scales_l[j / 2] >> 4 * (j % 2) & 15, high = b.scales_h >> 2 * j & 3;
    out->scale[j] = static_cast<int8_t>((low | high << 4) - 32);
  }
}

}  // namespace

constinit const Format format_iq4_xs{.name = "iq4_xs",
                                     .gguf_id = 23,
                                     .block = 256,
                                     .block_bytes = 136,
                                     .payload = Payload::codes,
                                     .packing = packing_iq4_xs,
                                     .table = iq4_table,
                                     .unpack_row = unpack_row_of_codes<format_iq4_xs>,
                                     .unpack_codes = unpack_codes,
                                     .pack_strip = pack_codes<format_iq4_xs>};

}  // namespace cutaway
