#include "formats/q4_1/q4_1.h"

#include "formats/pack.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto b = *static_cast<const BlockQ4_1*>(block);
  for (int j = 0; j < 16; ++j) {
    out->code[j] = b.qs[j] & 15;
    out->code[j + 16] = b.qs[j] >> 4;
  }
  out->d = b.d;
  out->m = b.m;
}

}  // namespace

constinit const Format format_q4_1{.name = "q4_1",
                                   .gguf_id = 3,
                                   .block = 32,
                                   .block_bytes = 20,
                                   .payload = Payload::codes,
                                   .packing = packing_q4_1,
                                   .table = nullptr,
                                   .unpack_row = unpack_row_of_codes<format_q4_1>,
                                   .unpack_codes = unpack_codes,
                                   .pack_strip = pack_codes<format_q4_1>};

}  // namespace cutaway
