// Rotary positions of config.json: rope_parameters (new), or rope_theta and rope_scaling (old). What GGUF keeps as a
// tensor of factors, config.json gives as numbers.
//
// Source  transformers 5.23, modeling_rope_utils.py
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "load/hf.h"

namespace cutaway {
namespace {

struct Rope {
  HfObject parameters;
  std::string type;
  double theta;
};

double theta_of(const HfObject& parameters, const HfObject& config, const char* key, double fallback) {
  return parameters.number("rope_theta", config.number(key, fallback));
}

std::string type_of(const HfObject& parameters, const std::string& fallback) {
  return parameters.text("rope_type", parameters.text("type", fallback));
}

Rope read(const HfObject& config, const std::string& arch) {
  HfObject scaling = config.object("rope_scaling"), parameters = config.object("rope_parameters");
  if (arch == "gemma3") {
    // One for layers that see all and one for those with a window, whose positions are never scaled.
    const HfObject full = parameters.object("full_attention"), local = parameters.object("sliding_attention");
    if (const std::string type = type_of(local, "default"); type != "default")
      local.unsupported("rope_parameters.sliding_attention.rope_type", printable(type), "default");
    return {scaling.json ? scaling : full, type_of(scaling.json ? scaling : full, "default"),
            scaling.number("rope_theta", theta_of(full, config, "rope_theta", 1e6))};
  }
  if (scaling.json) parameters = scaling;
  for (const char* layers : {"full_attention", "sliding_attention"})
    if (parameters.get(layers))
      parameters.unsupported("rope_parameters." + std::string(layers), "given", "one for all layers");
  const bool oss = arch == "gpt-oss";  // whose default is YaRN
  return {parameters, type_of(parameters, oss && !parameters.json ? "yarn" : "default"),
          theta_of(parameters, config, "rope_theta", oss ? 150000.0 : 10000.0)};
}

// Tokens that the model saw before its context was stretched.
int64_t original_context(const HfObject& config, const HfConfig& c, const HfObject& parameters) {
  if (c.arch == "phi3") return config.integer("original_max_position_embeddings", 4096);
  const char* key = "original_max_position_embeddings";
  return parameters.integer(key, config.integer(key, c.arch == "gpt-oss" && !parameters.json ? 4096 : c.context));
}

// What each frequency of Llama 3 is divided by: 1 for short waves, `factor` for long ones, between them a ramp.
std::vector<float> llama3_factors(const HfObject& config, const HfConfig& c, const Rope& rope, int64_t width) {
  const double factor = rope.parameters.number("factor", {}), low = rope.parameters.number("low_freq_factor", {}),
               high = rope.parameters.number("high_freq_factor", {});
  const auto context = static_cast<double>(original_context(config, c, rope.parameters));
  if (low >= high)
    rope.parameters.wrong("low_freq_factor", std::to_string(low), "below high_freq_factor = " + std::to_string(high));
  std::vector<float> out(static_cast<size_t>(width / 2));
  for (size_t i = 0; i < out.size(); ++i) {
    const double wave =
        2 * std::numbers::pi * std::pow(rope.theta, 2 * static_cast<double>(i) / static_cast<double>(width));
    const double t = (context / wave - low) / (high - low);
    out[i] = static_cast<float>(wave < context / high  ? 1.0
                                : wave > context / low ? factor
                                                       : 1 / ((1 - t) / factor + t));
  }
  return out;
}

std::vector<float> factors(const HfObject& parameters, const std::string& key, int64_t width) {
  const Json* list = parameters.get(key);
  const std::string expected = std::to_string(width / 2) + " numbers above 0, half of what is turned of a head";
  if (!list || !list->array()) parameters.wrong(key, list ? list->type_name() : "absent", expected);
  if (static_cast<int64_t>(list->array()->size()) != width / 2)
    parameters.wrong(key, std::to_string(list->array()->size()) + " values", expected);
  std::vector<float> out;
  for (const Json& value : *list->array()) {
    const std::optional<double> x = value.number();
    if (!x || !(*x > 0) || !std::isfinite(static_cast<float>(*x)))
      parameters.wrong(key, "a list with " + (x ? std::to_string(*x) : value.type_name()), expected);
    out.push_back(static_cast<float>(*x));
  }
  return out;
}

void read_longrope(const HfObject& config, const Rope& rope, int64_t width, HfConfig& c, File& file) {
  c.rope_factors_long = factors(rope.parameters, "long_factor", width);
  c.rope_factors_short = factors(rope.parameters, "short_factor", width);
  const int64_t context = original_context(config, c, rope.parameters);
  if (context < 2) config.wrong("original_max_position_embeddings", std::to_string(context), "at least 2");
  put_u32(file, c.arch + ".rope.scaling.original_context_length", context);
  const auto original = static_cast<double>(context);
  const double stretch = rope.parameters.number("factor", static_cast<double>(c.context) / original);
  const double said = rope.parameters.number("attention_factor",
                                             stretch > 1 ? std::sqrt(1 + std::log(stretch) / std::log(original)) : 1.0);
  put_f32(file, c.arch + ".rope.scaling.attn_factor", said);
}

void read_yarn(const HfObject& config, const Rope& rope, HfConfig& c, File& file) {
  const std::string a = c.arch + ".rope.scaling.";
  const HfObject& p = rope.parameters;
  const bool bare = !p.json;  // gpt-oss without any: factor 32, not rounded
  const int64_t original = original_context(config, c, p);
  const double factor =
      p.number("factor", bare ? 32.0 : static_cast<double>(c.context) / static_cast<double>(original));
  put_string(file, a + "type", "yarn");
  put_f32(file, a + "factor", factor);
  put_u32(file, a + "original_context_length", original);
  put_f32(file, a + "yarn_beta_fast", p.number("beta_fast", 32.0));
  put_f32(file, a + "yarn_beta_slow", p.number("beta_slow", 1.0));
  put_bool(file, a + "yarn_truncate", p.flag("truncate", !bare));
  if (factor < 1) p.wrong("factor", std::to_string(factor), "at least 1");
  // GGUF's attn_factor multiplies YaRN's own 0.1 ln(factor) + 1, attention_factor stands for both.
  const auto own = [&](double m) { return 0.1 * m * std::log(factor) + 1; };
  double said = own(1);
  if (p.get("attention_factor")) said = p.number("attention_factor", {});
  else if (p.get("mscale") && p.get("mscale_all_dim"))
    said = own(p.number("mscale", {})) / own(p.number("mscale_all_dim", {}));
  if (said != own(1)) put_f32(file, a + "attn_factor", said / own(1));
}

}  // namespace

void read_hf_rope(const HfObject& config, int64_t width, HfConfig& c, File& file) {
  if (width < 2 || width % 2)
    config.wrong("head_dim", std::to_string(c.E), "an even number of values to turn, not " + std::to_string(width));
  const std::string& a = c.arch;
  Rope rope = read(config, a);
  // "su" and "yarn" are what Phi-3's first releases called longrope.
  if (a == "phi3" && (rope.type == "su" || rope.type == "yarn")) rope.type = "longrope";
  const std::string supported = a == "phi3"      ? "default, longrope"
                                : a == "gemma3"  ? "default, linear"
                                : a == "gpt-oss" ? "default, yarn"
                                                 : "default, linear, llama3, longrope, yarn";
  if ((", " + supported + ",").find(", " + rope.type + ",") == std::string::npos)
    rope.parameters.unsupported("rope_type", printable(rope.type), supported);
  if (a != "phi3")
    for (const HfObject& one : {config, rope.parameters})
      if (const double part = one.number("partial_rotary_factor", 1.0); part != 1)
        one.unsupported("partial_rotary_factor", std::to_string(part), "1");

  put_u32(file, a + ".rope.dimension_count", width);
  put_f32(file, a + ".rope.freq_base", rope.theta);
  if (a == "gemma3")
    put_f32(
        file, a + ".rope.freq_base_swa",
        theta_of(config.object("rope_parameters").object("sliding_attention"), config, "rope_local_base_freq", 1e4));
  if (a == "phi3")
    put_u32(file, a + ".rope.scaling.original_context_length", original_context(config, c, rope.parameters));
  if (rope.type == "linear") {
    put_string(file, a + ".rope.scaling.type", "linear");
    put_f32(file, a + ".rope.scaling.factor", rope.parameters.number("factor", {}));
  } else if (rope.type == "llama3") {
    c.rope_freqs = llama3_factors(config, c, rope, width);
  } else if (rope.type == "longrope") {
    read_longrope(config, rope, width, c, file);
  } else if (rope.type == "yarn") {
    read_yarn(config, rope, c, file);
  }
}

}  // namespace cutaway
