// What the readers of a Hugging Face folder share. hf_config.cpp and hf_rope.cpp turn config.json into GGUF's metadata,
// hf_tensors.cpp turns the stored tensors into GGUF's, hf.cpp opens the folder.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "load/file.h"
#include "load/safetensors.h"

namespace cutaway {

// One object of config.json. A key that is absent or null has its fallback: the default of the architecture's
// configuration class in transformers.
struct HfObject {
  const Json* json;  // null: an empty object
  std::string path;  // of config.json, for messages

  const Json* get(std::string_view key) const;  // null: absent or null
  bool is_null(std::string_view key) const;     // there, and null
  HfObject object(std::string_view key) const;
  int64_t integer(const std::string& key, std::optional<int64_t> fallback, int64_t least = 1,
                  int64_t most = 16777216) const;
  double number(const std::string& key, std::optional<double> fallback) const;  // finite and above 0
  bool flag(const std::string& key, bool fallback) const;
  std::string text(const std::string& key, const std::string& fallback) const;

  [[noreturn]] void wrong(const std::string& key, const std::string& got, const std::string& expected) const;
  [[noreturn]] void unsupported(const std::string& key, const std::string& got, const std::string& supported) const;
};

// What the mapping of tensors needs to know.
struct HfConfig {
  std::string path;          // of config.json
  std::string arch;          // general.architecture: "gemma3"
  int64_t L, D, H, G, E, F;  // as graph/config.h has them
  int64_t V = 0;             // 0: not said
  int64_t context;
  int64_t X = 0;  // experts
  bool tied;      // the head is the embedding
  bool qkv_bias = false, out_bias = false, mlp_bias = false;
  // What is a tensor in GGUF and numbers in config.json; empty: not there.
  std::vector<float> rope_freqs, rope_factors_long, rope_factors_short;  // [r / 2]
};

// config.json into `file`'s metadata. Raises ConfigError for what contradicts itself, UnsupportedModelError for what we
// do not have.
HfConfig read_hf_config(const std::string& path, const Json& root, File& file);

// The keys and factors of rotary positions, `width` of a head's values turned.
void read_hf_rope(const HfObject& config, int64_t width, HfConfig& c, File& file);

// `stored` as GGUF has it, into file.tensors.
void map_hf_tensors(const HfConfig& c, std::vector<StoredTensor> stored, File& file);

// One metadata value more, "block_count" under the architecture's name.
void put_string(File& file, const std::string& key, const std::string& value);
void put_u32(File& file, const std::string& key, int64_t value);
void put_f32(File& file, const std::string& key, double value);
void put_f64(File& file, const std::string& key, double value);
void put_bool(File& file, const std::string& key, bool value);
void put_bools(File& file, const std::string& key, std::vector<bool> values);

}  // namespace cutaway
