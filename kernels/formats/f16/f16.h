// f16: IEEE 754 binary16.
#pragma once

#include "formats/format.h"

namespace cutaway {

static constexpr Packing packing_f16{};
extern const Format format_f16;

}  // namespace cutaway
