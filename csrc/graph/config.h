// Config: a model's numbers, read from the metadata and validated once. After read_config nothing needs a second check:
// no divisor is zero, heads divide, widths are even where they must be.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "load/file.h"

namespace cutaway {

enum class RopeScaling { none, linear, yarn, longrope };

struct RopeConfig {
  double base = 10000;  // of the wavelengths
  int64_t width = 0;    // rotated values of a head
  RopeScaling scaling = RopeScaling::none;
  double factor = 1;                     // linear: positions are divided by it; yarn: so are those of long wavelengths
  int64_t original = 0;                  // context the model was first trained for
  double attention_factor = 1;           // multiplies cosines and sines
  double beta_fast = 32, beta_slow = 1;  // yarn: turns over the original context where its ramp begins and ends
  bool truncate = true;                  // yarn: the ramp's ends are rounded to whole pairs
};

struct Config {
  std::string arch;  // general.architecture
  std::string name;  // general.name, may be empty
  int64_t L;         // layers
  int64_t D;         // model width
  int64_t H;         // query heads
  int64_t G;         // key/value heads
  int64_t E;         // head width
  int64_t F;         // feed-forward width
  int64_t V;         // rows of the embedding: ids below it are valid
  int64_t context;   // tokens the model was made for
  float eps;         // of the norms
  RopeConfig rope;
  double attention_scale;                   // of q . k
  double logit_softcap;                     // logits are c tanh(logits / c); 0: not
  int64_t window;                           // positions that a windowed layer's query sees, its own among them; 0: all
  std::vector<bool> windowed;               // by layer
  double local_rope_base;                   // of windowed layers, which nothing scales; 0: as the others
  int64_t experts, experts_used, expert_F;  // 0: no experts

  int64_t window_of(int layer) const { return windowed[static_cast<size_t>(layer)] ? window : 0; }
};

// Raises ConfigError naming the key, UnsupportedModelError for an architecture we do not have.
Config read_config(const File& file);

}  // namespace cutaway
