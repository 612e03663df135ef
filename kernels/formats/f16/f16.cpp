#include "formats/f16/f16.h"

#include <cstring>

#include "formats/f16_value.h"
#include "formats/pack.h"

namespace cutaway {
namespace {

void unpack_row(const void* row, float* out, int64_t n) {
  const auto* x = static_cast<const uint8_t*>(row);
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, x + 2 * i, 2);
    out[i] = f16_value(bits);
  }
}

constexpr Format stored{.name = "f16",
                        .gguf_id = 1,
                        .block = 1,
                        .block_bytes = 2,
                        .payload = Payload::f16,
                        .packing = packing_f16,
                        .table = nullptr,
                        .unpack_row = unpack_row,
                        .unpack_codes = nullptr,
                        .pack_strip = pack_floats<uint16_t>};

constinit const Format shorter = below_2(stored);

}  // namespace

constinit const Format format_f16 = with_below_2(stored, shorter);

}  // namespace cutaway
