// Folders whose tokenizer is vocab.json and merges.txt, as GPT-2's and Qwen2's first ones were.
#pragma once

#include <string>

#include "base/json.h"

namespace cutaway {

// The tokenizer.json that transformers would make of them. `config` is tokenizer_config.json, `model` config.json, null
// where the folder has none. Raises UnsupportedModelError where the two do not say how text is split, or where there is
// only tokenizer.model; ModelNotFoundError where there is nothing.
Json read_vocab_and_merges(const std::string& folder, const Json& config, const Json& model);

}  // namespace cutaway
