// f32: IEEE 754 binary32, as is.
#pragma once

#include "formats/format.h"

namespace cutaway {

static constexpr Packing packing_f32{};
extern const Format format_f32;

}  // namespace cutaway
