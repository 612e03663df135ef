// safetensors: which tensors a file, or the shards of an index, hold, where, and of which type. What they mean to a
// model is the business of hf_tensors.cpp.
#pragma once

#include <string>
#include <vector>

#include "load/file.h"

namespace cutaway {

struct StoredTensor {
  std::string name;
  std::string dtype;           // as the file has it: "BF16"
  std::vector<int64_t> shape;  // row-major, up to eight axes
  uint64_t offset, bytes;      // from the start of its file
  int part;                    // index into File::parts
};

// Reads the headers of `folder`/model.safetensors, or of the shards that model.safetensors.index.json names, adds them
// to file.parts, handles, bytes and header_bytes, and returns their tensors in the order of their data. Raises
// SafetensorsError, TruncatedFileError, LimitExceededError or ModelNotFoundError.
std::vector<StoredTensor> read_safetensors(const std::string& folder, const Limits& limits, File& file);

}  // namespace cutaway
