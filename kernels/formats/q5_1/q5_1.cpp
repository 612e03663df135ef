#include "formats/q5_1/q5_1.h"

#include "formats/pack.h"
#include "formats/unpack.h"
#include "formats/words.h"

namespace cutaway {
namespace {

inline void unpack_codes(const void* block, Codes* out) {
  const auto& b = *static_cast<const BlockQ5_1*>(block);
  for (int j = 0; j < 16; j += 8) {
    const uint64_t q = get_long(b.qs + j), low = each_byte_of_long(15);
    put_long(out->code + j, (q & low) | bits_to_bytes(b.qh >> j & 255) << 4);
    put_long(out->code + j + 16, (q >> 4 & low) | bits_to_bytes(b.qh >> (j + 16) & 255) << 4);
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
                                   .unpack_codes = unpack_codes,
                                   .pack_strip = pack_codes<format_q5_1>};

}  // namespace cutaway
