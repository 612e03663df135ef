#include "formats/q3_k/q3_k.h"

#include "formats/pack.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

void unpack_codes(const void* block, Codes* out) {
  const auto b = *static_cast<const BlockQ3_K*>(block);
  for (int j = 0; j < 8; ++j) {
    const int n = j / 4, t = j % 4;
    for (int l = 0; l < 32; ++l)
      out->code[32 * j + l] = static_cast<uint8_t>((b.qs[32 * n + l] >> 2 * t & 3) | (b.hmask[l] >> j & 1) << 2);
  }
  out->d = b.d;
  for (int i = 0; i < 16; ++i) {
    int low = b.scales[i % 8] >> 4 * (i / 8) & 15;
    int high = b.scales[8 + i % 4] >> 2 * (i / 4) & 3;
    out->scale[i] = static_cast<int8_t>((low | high << 4) - 32);
  }
}

}  // namespace

constinit const Format format_q3_k{.name = "q3_k",
                                   .gguf_id = 11,
                                   .block = 256,
                                   .block_bytes = 110,
                                   .payload = Payload::codes,
                                   .packing = packing_q3_k,
                                   .table = nullptr,
                                   .unpack_row = unpack_row_of_codes<format_q3_k>,
                                   .unpack_codes = unpack_codes,
                                   .pack_strip = pack_codes<format_q3_k>};

}  // namespace cutaway
