// Config: a model's numbers, read from the metadata and validated once. After read_config nothing needs a second check:
// no divisor is zero, heads divide, widths are even where they must be.
#pragma once

#include <cstdint>
#include <string>

#include "load/file.h"

namespace cutaway {

struct Config {
  std::string arch;    // general.architecture
  std::string name;    // general.name, may be empty
  int64_t L;           // layers
  int64_t D;           // model width
  int64_t H;           // query heads
  int64_t G;           // key/value heads
  int64_t E;           // head width
  int64_t F;           // feed-forward width
  int64_t V;           // rows of the embedding: ids below it are valid
  int64_t context;     // tokens the model was made for
  float eps;           // of the norms
  double rope_base;    // of the wavelengths
  int64_t rope_width;  // rotated values of a head
  double rope_factor;  // linear scaling: positions are divided by it; 1: none
};

// Raises ConfigError naming the key, UnsupportedModelError for an architecture we do not have.
Config read_config(const File& file);

}  // namespace cutaway
