// bf16: the upper half of an IEEE 754 binary32.
#pragma once

#include "formats/format.h"

namespace cutaway {

static constexpr Packing packing_bf16{};
extern const Format format_bf16;

}  // namespace cutaway
