// f16: IEEE 754 binary16.
#pragma once

#include "formats/format.h"

namespace cutaway {

extern const Format format_f16;

}  // namespace cutaway
