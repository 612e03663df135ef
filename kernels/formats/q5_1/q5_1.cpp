#include "formats/q5_1/q5_1.h"

#include "formats/unpack.h"
#include "formats/words.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto b = *static_cast<const BlockQ5_1*>(block);
  uint8_t top[32];
  for (int j = 0; j < 32; j += 4) put_word(top + j, bits_to_bytes(b.qh >> j & 15));
  for (int j = 0; j < 16; ++j) {
    out->code[j] = static_cast<uint8_t>((b.qs[j] & 15) | top[j] << 4);
    out->code[j + 16] = static_cast<uint8_t>(b.qs[j] >> 4 | top[j + 16] << 4);
  }
  out->d = b.d;
  out->m = b.m;
}

}  // namespace

constinit const Format format_q5_1{.name = "q5_1",
                                   .gguf_id = 7,
                                   .block = 32,
                                   .block_bytes = 24,
                                   .payload = Payload::codes,
                                   .packing = packing_q5_1,
                                   .table = nullptr,
                                   .unpack_row = unpack_row_of_codes<format_q5_1>,
                                   .unpack_codes = unpack_codes};

}  // namespace cutaway
