#include "formats/format.h"

#include <vector>

#include "format_table.h"  // generated from the folder names: CUTAWAY_FORMATS(X)

namespace cutaway {

#define X(name) extern const Format format_##name;
CUTAWAY_FORMATS(X)
#undef X

std::span<const Format* const> formats() {
#define X(name) &format_##name,
  static const std::vector<const Format*> all{CUTAWAY_FORMATS(X)};
#undef X
  return all;
}

const Format* find_format(std::string_view name) {
  for (const Format* f : formats())
    if (f->name == name) return f;
  return nullptr;
}

const Format* find_format(uint32_t gguf_id) {
  for (const Format* f : formats())
    if (f->gguf_id == gguf_id) return f;
  return nullptr;
}

const char* gguf_type_name(uint32_t id) {
  // ggml's type ids, ggml.h; the gaps were removed from the format.
  static const char* const names[] = {
      "F32",   "F16",    "Q4_0",  "Q4_1",  nullptr, nullptr,   "Q5_0",   "Q5_1",    "Q8_0",  "Q8_1",   "Q2_K",
      "Q3_K",  "Q4_K",   "Q5_K",  "Q6_K",  "Q8_K",  "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S",
      "IQ2_S", "IQ4_XS", "I8",    "I16",   "I32",   "I64",     "F64",    "IQ1_M",   "BF16",  nullptr,  nullptr,
      nullptr, "TQ1_0",  "TQ2_0", nullptr, nullptr, nullptr,   "MXFP4",  "NVFP4",   "Q1_0",  "Q2_0"};
  return id < std::size(names) ? names[id] : nullptr;
}

}  // namespace cutaway
