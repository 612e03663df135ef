#include "formats/iq4_nl/iq4_nl.h"

#include "formats/iq4_table.h"
#include "formats/pack.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto b = *static_cast<const BlockIq4Nl*>(block);
  for (int j = 0; j < 16; ++j) {
    out->code[j] = b.qs[j] & 15;
    out->code[j + 16] = b.qs[j] >> 4;
  }
  out->d = b.d;
}

}  // namespace

constinit const Format format_iq4_nl{.name = "iq4_nl",
                                     .gguf_id = 20,
                                     .block = 32,
                                     .block_bytes = 18,
                                     .payload = Payload::codes,
                                     .packing = packing_iq4_nl,
                                     .table = iq4_table,
                                     .unpack_row = unpack_row_of_codes<format_iq4_nl>,
                                     .unpack_codes = unpack_codes,
                                     .pack_strip = pack_codes<format_iq4_nl>};

}  // namespace cutaway
