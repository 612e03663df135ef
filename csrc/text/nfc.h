// Unicode normal form C (Unicode Standard Annex 15): what Hugging Face's tokenizers of some models do to text first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cutaway {

// `text` is valid UTF-8. O(n log n) whatever the text; text that is in normal form already is only looked through.
std::string to_nfc(std::string_view text);

// nfc_table.cpp
extern const uint32_t nfc_combining[][3], nfc_decomposition[][3], nfc_composition[][3];
extern const size_t nfc_combinings, nfc_decompositions, nfc_compositions;

}  // namespace cutaway
