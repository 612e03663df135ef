// How fast each pair of a head turns: the frequencies of rope, with every kind of scaling a file may ask for.
#pragma once

#include <vector>

#include "graph/config.h"

namespace cutaway {

// Radians per position of each of the width / 2 pairs: base^(-2i / width).
std::vector<double> rope_waves(double base, int64_t width);

// The same and what scaling makes of it. longrope: `is_long` takes the long factors, for sequences longer than the
// original context; else the short ones.
// Raises MappingError and ConfigError for damaged tables of factors.
std::vector<double> rope_frequencies(const RopeConfig& rope, const File& file, bool is_long = false);

// What cosines and sines are multiplied by.
double rope_attention_factor(const RopeConfig& rope);

}  // namespace cutaway
