#include "formats/q4_1/q4_1.h"

#include "formats/f16_value.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto& b = *static_cast<const BlockQ4_1*>(block);
  for (int j = 0; j < 16; ++j) {
    out->code[j] = b.qs[j] & 15;
    out->code[j + 16] = b.qs[j] >> 4;
  }
  out->scale[0] = f16_value(b.d);
  out->minimum[0] = f16_value(b.m);
}

}  // namespace

constinit const Format format_q4_1{.name = "q4_1",
                                   .gguf_id = 3,
                                   .block = 32,
                                   .block_bytes = 20,
                                   .payload = Payload::u4,
                                   .group = 32,
                                   .offset = 0,
                                   .table = nullptr,
                                   .minimums = true,
                                   .wide_scale = false,
                                   .unpack_row = unpack_row_of_codes<format_q4_1>,
                                   .unpack_codes = unpack_codes};

}  // namespace cutaway
