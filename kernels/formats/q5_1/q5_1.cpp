#include "formats/q5_1/q5_1.h"

#include "formats/f16_value.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto& b = *static_cast<const BlockQ5_1*>(block);
  for (int j = 0; j < 16; ++j) {
    out->code[j] = static_cast<uint8_t>((b.qs[j] & 15) | (b.qh >> j & 1) << 4);
    out->code[j + 16] = static_cast<uint8_t>(b.qs[j] >> 4 | (b.qh >> (j + 16) & 1) << 4);
  }
  out->scale[0] = f16_value(b.d);
  out->minimum[0] = f16_value(b.m);
}

}  // namespace

constinit const Format format_q5_1{.name = "q5_1",
                                   .gguf_id = 7,
                                   .block = 32,
                                   .block_bytes = 24,
                                   .payload = Payload::u8,
                                   .group = 32,
                                   .offset = 0,
                                   .table = nullptr,
                                   .minimums = true,
                                   .wide_scale = false,
                                   .unpack_row = unpack_row_of_codes<format_q5_1>,
                                   .unpack_codes = unpack_codes};

}  // namespace cutaway
