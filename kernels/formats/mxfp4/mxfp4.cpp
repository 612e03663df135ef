#include "formats/mxfp4/mxfp4.h"

#include "formats/pack.h"
#include "formats/unpack.h"

namespace cutaway {
namespace {

constexpr int8_t e2m1_doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void unpack_codes(const void* block, Codes* out) {
  const auto b = *static_cast<const BlockMxfp4*>(block);
  for (int j = 0; j < 16; ++j) {
    out->code[j] = b.qs[j] & 15;
    out->code[j + 16] = b.qs[j] >> 4;
  }
  out->d = b.e;
}

}  // namespace

constinit const Format format_mxfp4{.name = "mxfp4",
                                    .gguf_id = 39,
                                    .block = 32,
                                    .block_bytes = 17,
                                    .payload = Payload::codes,
                                    .packing = packing_mxfp4,
                                    .table = e2m1_doubled,
                                    .unpack_row = unpack_row_of_codes<format_mxfp4>,
                                    .unpack_codes = unpack_codes,
                                    .pack_strip = pack_codes<format_mxfp4>};

}  // namespace cutaway
