#include "formats/q8_0/q8_0.h"

#include "formats/pack.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto b = *static_cast<const BlockQ8_0*>(block);
  for (int j = 0; j < 32; ++j) out->code[j] = static_cast<uint8_t>(b.qs[j] + 128);
  out->d = b.d;
}

}  // namespace

constinit const Format format_q8_0{.name = "q8_0",
                                   .gguf_id = 8,
                                   .block = 32,
                                   .block_bytes = 34,
                                   .payload = Payload::codes,
                                   .packing = packing_q8_0,
                                   .table = nullptr,
                                   .unpack_row = unpack_row_of_codes<format_q8_0>,
                                   .unpack_codes = unpack_codes,
                                   .pack_strip = pack_codes<format_q8_0>};

}  // namespace cutaway
