#include "formats/bf16/bf16.h"

#include <cstring>
#include "formats/pack.h"

namespace cutaway {
namespace {

void unpack_row(const void* row, float* out, int64_t n) {
  const auto* x = static_cast<const uint8_t*>(row);
  for (int64_t i = 0; i < n; ++i) {
    uint16_t half;
    std::memcpy(&half, x + 2 * i, 2);
    uint32_t bits = static_cast<uint32_t>(half) << 16;
    std::memcpy(out + i, &bits, 4);
  }
}

constexpr Format stored{.name = "bf16",
                        .gguf_id = 30,
                        .block = 1,
                        .block_bytes = 2,
                        .payload = Payload::bf16,
                        .packing = packing_bf16,
                        .table = nullptr,
                        .unpack_row = unpack_row,
                        .unpack_codes = nullptr,
                        .pack_strip = pack_floats<uint16_t>};

constinit const Format shorter = below_2(stored);

}  // namespace

constinit const Format format_bf16 = with_below_2(stored, shorter);

}  // namespace cutaway
