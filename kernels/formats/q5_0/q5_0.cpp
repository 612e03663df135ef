#include "formats/q5_0/q5_0.h"

#include "formats/pack.h"
#include "formats/unpack.h"
#include "formats/words.h"

namespace cutaway {
namespace {

inline void unpack_codes(const void* block, Codes* out) {
  const auto& b = *static_cast<const BlockQ5_0*>(block);
  codes_of_5_bits(b.qs, b.qh, out->code);
  out->d = b.d;
}

}  // namespace

constinit const Format format_q5_0{.name = "q5_0",
                                   .gguf_id = 6,
                                   .block = 32,
                                   .block_bytes = 22,
                                   .payload = Payload::codes,
                                   .packing = packing_q5_0,
                                   .table = nullptr,
                                   .unpack_row = unpack_row_of_codes<format_q5_0>,
                                   .unpack_codes = unpack_codes,
                                   .pack_strip = pack_codes<format_q5_0>};

}  // namespace cutaway
