#include "formats/mxfp4/mxfp4.h"

#include <cstring>

#include "formats/unpack.h"

namespace cutaway {
namespace {

constexpr int8_t e2m1_doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// 2^(e - 128): 2^-128 and 2^-127, for e = 0 and 1, are subnormal float32.
float half_of_e8m0(uint8_t e) {
  uint32_t bits = e < 2 ? 0x00200000u << e : (e - 1u) << 23;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

void unpack_codes(const void* block, Codes* out) {
  const auto& b = *static_cast<const BlockMxfp4*>(block);
  for (int j = 0; j < 16; ++j) {
    out->code[j] = b.qs[j] & 15;
    out->code[j + 16] = b.qs[j] >> 4;
  }
  out->scale[0] = half_of_e8m0(b.e);
}

}  // namespace

constinit const Format format_mxfp4{.name = "mxfp4",
                                    .gguf_id = 39,
                                    .block = 32,
                                    .block_bytes = 17,
                                    .payload = Payload::u4,
                                    .group = 32,
                                    .offset = 0,
                                    .table = e2m1_doubled,
                                    .minimums = false,
                                    .wide_scale = true,
                                    .unpack_row = unpack_row_of_codes<format_mxfp4>,
                                    .unpack_codes = unpack_codes};

}  // namespace cutaway
