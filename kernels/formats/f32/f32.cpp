#include "formats/f32/f32.h"

#include <cstring>
#include "formats/pack.h"

namespace cutaway {
namespace {

void unpack_row(const void* row, float* out, int64_t n) {
  std::memcpy(out, row, static_cast<size_t>(n) * sizeof(float));
}

}  // namespace

constinit const Format format_f32{.name = "f32",
                                  .gguf_id = 0,
                                  .block = 1,
                                  .block_bytes = 4,
                                  .payload = Payload::f32,
                                  .packing = packing_f32,
                                  .table = nullptr,
                                  .unpack_row = unpack_row,
                                  .unpack_codes = nullptr,
                                  .pack_strip = pack_floats<uint32_t>};

}  // namespace cutaway
