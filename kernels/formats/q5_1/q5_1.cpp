#include "formats/q5_1/q5_1.h"

#include "formats/pack.h"
#include "formats/unpack.h"
#include "formats/words.h"

namespace cutaway {
namespace {

inline void unpack_codes(const void* block, Codes* out) {
  const auto& b = *static_cast<const BlockQ5_1*>(block);
  codes_of_5_bits(b.qs, b.qh, out->code);
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
