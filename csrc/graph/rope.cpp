#include "graph/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "base/error.h"
#include "formats/format.h"

namespace cutaway {
namespace {

// The divisors of the frequencies that a file holds as a tensor; ones where it has none.
std::vector<double> read_factors(const File& file, const std::string& name, size_t pairs, bool required) {
  const TensorInfo* tensor = file.find(name);
  if (!tensor && !required) return std::vector<double>(pairs, 1.0);
  if (!tensor)
    throw Error("MappingError", file.parts[0] + ": tensor " + name + " is missing, and rope scaling longrope needs it",
                "", {{"tensor", name}});
  if (tensor->shape.elements() != static_cast<int64_t>(pairs) || !tensor->format ||
      tensor->format->payload != Payload::f32)
    throw Error("MappingError", file.parts[0] + ": " + name + " is " + tensor->shape.str() + ", expected f32 [" +
                                    std::to_string(pairs) + "], half of rope.dimension_count");
  std::vector<float> factors(pairs);
  file.read(*tensor, 0, pairs * sizeof(float), factors.data());
  for (size_t i = 0; i < pairs; ++i)
    if (!(factors[i] > 0) || std::isinf(factors[i]))
      throw Error("ConfigError", file.parts[0] + ": " + name + "[" + std::to_string(i) + "] is not above 0");
  return {factors.begin(), factors.end()};
}

// YaRN: pairs that turn more than beta_fast times in the original context stay, those that turn less than beta_slow
// times are slowed by the factor, a ramp lies between. Peng et al. 2023, arXiv:2309.00071, sec. 3.2.
void slow_down(const RopeConfig& rope, std::vector<double>& frequencies) {
  const auto r = static_cast<double>(rope.width);
  const auto pair_that_turns = [&](double turns) {
    return r * std::log(static_cast<double>(rope.original) / (2 * std::numbers::pi * turns)) /
           (2 * std::log(rope.base));
  };
  double low = pair_that_turns(rope.beta_fast), high = pair_that_turns(rope.beta_slow);
  if (rope.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0);
  high = std::min(high, r - 1);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / std::max(0.001, high - low), 0.0, 1.0);
    frequencies[i] *= 1 - ramp + ramp / rope.factor;
  }
}

}  // namespace

std::vector<double> rope_waves(double base, int64_t width) {
  std::vector<double> out(static_cast<size_t>(width / 2));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(width));
  return out;
}

std::vector<double> rope_frequencies(const RopeConfig& rope, const File& file, bool is_long) {
  std::vector<double> out = rope_waves(rope.base, rope.width);
  if (rope.scaling == RopeScaling::linear)
    for (double& f : out) f /= rope.factor;
  if (rope.scaling == RopeScaling::yarn) slow_down(rope, out);
  const bool longrope = rope.scaling == RopeScaling::longrope;
  const std::string name = !longrope ? "rope_freqs.weight"  // Llama 3's scaling
                           : is_long ? "rope_factors_long.weight"
                                     : "rope_factors_short.weight";
  const std::vector<double> factors = read_factors(file, name, out.size(), longrope);
  for (size_t i = 0; i < out.size(); ++i) out[i] /= factors[i];
  return out;
}

double rope_attention_factor(const RopeConfig& rope) {
  // 0.1 ln(factor) + 1 belongs to YaRN itself (eq. 22), attn_factor to the file.
  return rope.attention_factor * (rope.scaling == RopeScaling::yarn ? 0.1 * std::log(rope.factor) + 1 : 1);
}

}  // namespace cutaway
