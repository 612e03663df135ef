#include "graph/config.h"

#include <cmath>

#include "base/error.h"
#include "graph/graph.h"

namespace cutaway {
namespace {

struct Reader {
  const File& file;
  std::string arch;

  std::string key(const std::string& name) const { return arch + "." + name; }

  [[noreturn]] void fail(const std::string& name, const std::string& got, const std::string& expected) const {
    throw Error("ConfigError", file.parts[0] + ": " + key(name) + " is " + got + ", expected " + expected, "",
                {{"key", key(name)}});
  }

  int64_t integer(const std::string& name, int64_t most, int64_t fallback = -1) const {
    const Value* value = file.value(key(name));
    if (!value && fallback < 0) fail(name, "absent", "an integer");
    int64_t n = fallback;
    if (value && value->is_array) {
      // Some converters write one number per layer; a model whose layers agree reads as if there were one.
      auto list = file.get_ints(key(name));
      if (list.empty()) fail(name, "an empty array", "an integer");
      for (int64_t other : list)
        if (other != list[0]) fail(name, "an array that differs between layers", "one number for all layers");
      n = list[0];
    } else if (value) {
      n = file.get_int(key(name), 0);
    }
    if (n < 1 || n > most) fail(name, std::to_string(n), "1 to " + std::to_string(most));
    return n;
  }

  double positive(const std::string& name, double fallback = NAN) const {
    if (!file.value(key(name)) && std::isnan(fallback)) fail(name, "absent", "a number above 0");
    double x = file.get_float(key(name), fallback);
    if (!(x > 0) || std::isinf(x)) fail(name, std::to_string(x), "a finite number above 0");
    return x;
  }

  double zero_or_positive(const std::string& name) const {  // 0 when absent
    const double x = file.get_float(key(name), 0);
    if (!(x >= 0) || std::isinf(x)) fail(name, std::to_string(x), "a finite number, 0 or above");
    return x;
  }
};

RopeConfig read_rope(const Reader& read, const Config& c) {
  const File& file = read.file;
  RopeConfig rope;
  rope.base = read.positive("rope.freq_base", 10000.0);
  rope.width = read.integer("rope.dimension_count", c.E, c.E);
  if (c.arch != "gpt2" && rope.width % 2)
    read.fail("rope.dimension_count", std::to_string(rope.width), "an even number");
  rope.original = read.integer("rope.scaling.original_context_length", 16777216, c.context);
  rope.attention_factor = read.positive("rope.scaling.attn_factor", 1.0);
  rope.beta_fast = read.positive("rope.scaling.yarn_beta_fast", 32.0);
  rope.beta_slow = read.positive("rope.scaling.yarn_beta_slow", 1.0);
  // No key of GGUF says so: OpenAI's model, and its description at Hugging Face, leave the ends of the ramp as they
  // are.
  rope.truncate = file.get_bool(read.key("rope.scaling.yarn_truncate"), c.arch != "gpt-oss");
  // Files of phi3 have the factors as tensors and no word about the kind.
  const bool factors = file.find("rope_factors_long.weight") || file.find("rope_factors_short.weight");
  const bool scaled = file.get_float(read.key("rope.scaling.factor"), 0) != 0;
  const std::string kind = file.get_string(read.key("rope.scaling.type"), factors  ? "longrope"
                                                                          : scaled ? "linear"
                                                                                   : "none");
  if (kind == "linear") rope.scaling = scaled ? RopeScaling::linear : RopeScaling::none;
  else if (kind == "yarn") rope.scaling = RopeScaling::yarn;
  else if (kind == "longrope") rope.scaling = RopeScaling::longrope;
  else if (kind != "none")
    throw Error("UnsupportedModelError", file.parts[0] + ": " + read.key("rope.scaling.type") + " is \"" +
                                             printable(kind) +
                                             "\"; supported are none, linear, yarn, longrope, and llama3 through "
                                             "rope_freqs.weight");
  if (rope.scaling == RopeScaling::linear || rope.scaling == RopeScaling::yarn)
    rope.factor = read.positive("rope.scaling.factor");
  // llama.cpp's converter writes what the checkpoint says in place of YaRN's own 0.1 ln(factor) + 1.
  if (rope.scaling == RopeScaling::yarn && file.value(read.key("rope.scaling.yarn_attn_factor")))
    rope.attention_factor *= read.positive("rope.scaling.yarn_attn_factor") / (0.1 * std::log(rope.factor) + 1);
  return rope;
}

// Which layers have a window: true in an array, or with a period P all but every P-th.
std::vector<bool> read_windowed(const Reader& read, const Config& c) {
  std::vector<bool> out(static_cast<size_t>(c.L), c.window > 0);
  const std::string name = "attention.sliding_window_pattern";
  const Value* value = read.file.value(read.key(name));
  if (value && value->is_array) {
    const auto list = read.file.get_ints(read.key(name));
    if (static_cast<int64_t>(list.size()) != c.L)
      read.fail(name, "an array of " + std::to_string(list.size()),
                "one entry for each of the " + std::to_string(c.L) + " layers");
    for (size_t i = 0; i < out.size(); ++i) out[i] = out[i] && list[i] != 0;
    return out;
  }
  const int64_t usual = c.arch == "gemma3" ? 6 : c.arch == "gpt-oss" ? 2 : 0;  // published files do not say
  if (!value && !usual) return out;
  const int64_t period = read.integer(name, 4096, usual);
  for (size_t i = 0; i < out.size(); ++i) out[i] = out[i] && static_cast<int64_t>(i) % period < period - 1;
  return out;
}

void read_attention(const Reader& read, Config& c) {
  // Gemma 3's 27B alone scales by the width of the model over its heads, and no key of GGUF says so.
  const bool by_width = c.arch == "gemma3" && c.L == 62;
  const double width = static_cast<double>(by_width ? c.D / c.H : c.E);
  c.attention_scale = read.positive("attention.scale", 1.0 / std::sqrt(width));
  // Gemma 2 held its scores so. Gemma 3's configuration still has the word, and no program acts on it.
  if (read.file.value(read.key("attn_logit_softcapping")) && read.zero_or_positive("attn_logit_softcapping") != 0)
    throw Error("UnsupportedModelError", read.file.parts[0] + ": " + read.key("attn_logit_softcapping") +
                                             " is not 0; a soft cap is supported on logits only");
  c.logit_softcap = read.zero_or_positive("final_logit_softcapping");
  c.window = read.file.get_int(read.key("attention.sliding_window"), 0);
  if (c.window < 0) read.fail("attention.sliding_window", std::to_string(c.window), "0 or more");
  c.windowed = read_windowed(read, c);
  c.local_rope_base =
      c.arch == "gemma3" ? read.positive("rope.freq_base_swa", 10000.0) : read.zero_or_positive("rope.freq_base_swa");
}

void read_experts(const Reader& read, Config& c) {
  if (!read.file.get_int(read.key("expert_count"), 0)) return;
  if (c.arch != "gpt-oss")
    throw Error("UnsupportedModelError", read.file.parts[0] + ": " + read.key("expert_count") + " is " +
                                             std::to_string(read.file.get_int(read.key("expert_count"), 0)) +
                                             "; a mixture of experts is supported in gpt-oss only");
  c.experts = read.integer("expert_count", 1024);
  c.experts_used = read.integer("expert_used_count", c.experts);
  c.expert_F = read.integer("expert_feed_forward_length", 16777216);
}

std::string supported() {
  std::string out;
  for (const Architecture* arch : architectures()) out += (out.empty() ? "" : ", ") + std::string(arch->name);
  return out;
}

}  // namespace

Config read_config(const File& file) {
  if (const std::string type = file.get_string("general.type", "model"); type != "model")
    throw Error("UnsupportedModelError", file.parts[0] + ": general.type is \"" + printable(type) +
                                             "\"; supported is a model: an adapter, a projector or an importance "
                                             "matrix goes with one and is none");
  const Value* value = file.value("general.architecture");
  const std::string* arch = value && !value->is_array ? std::get_if<std::string>(&value->it) : nullptr;
  if (!arch || !find_architecture(*arch))
    throw Error("UnsupportedModelError", file.parts[0] + ": general.architecture is " +
                                             (arch    ? "\"" + printable(*arch) + "\""
                                              : value ? "not a string"
                                                      : "absent") +
                                             "; supported are " + supported());
  Reader read{file, *arch};
  Config c{};
  c.arch = *arch;
  c.name = file.get_string("general.name", "");
  c.L = read.integer("block_count", 4096);
  c.D = read.integer("embedding_length", 1048576);
  c.H = read.integer("attention.head_count", 4096);
  c.G = read.integer("attention.head_count_kv", c.H, c.H);
  if (c.H % c.G)
    read.fail("attention.head_count_kv", std::to_string(c.G), "a divisor of head_count = " + std::to_string(c.H));
  if (!file.value(read.key("attention.key_length")) && c.D % c.H)
    read.fail("attention.head_count", std::to_string(c.H), "a divisor of embedding_length = " + std::to_string(c.D));
  c.E = read.integer("attention.key_length", 1048576, c.D / c.H);
  if (int64_t E = read.integer("attention.value_length", 1048576, c.E); E != c.E)
    read.fail("attention.value_length", std::to_string(E), "key_length = " + std::to_string(c.E));
  c.F = read.integer("feed_forward_length", 16777216, c.arch == "gpt2" ? 4 * c.D : c.arch == "gpt-oss" ? c.D : -1);
  c.context = read.integer("context_length", 16777216);
  bool rms = file.value(read.key("attention.layer_norm_rms_epsilon"));
  c.eps = static_cast<float>(read.positive(rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"));

  c.rope = read_rope(read, c);
  read_attention(read, c);
  read_experts(read, c);

  const TensorInfo* table = file.find("token_embd.weight");
  if (!table)
    throw Error("MappingError", file.parts[0] + ": tensor token_embd.weight is missing", "",
                {{"tensor", std::string("token_embd.weight")}});
  if (table->shape.rank != 2 || table->shape[0] < 1)
    throw Error("MappingError", file.parts[0] + ": token_embd.weight is " + table->shape.str() + ", expected [V, D]");
  c.V = table->shape[0];
  return c;
}

}  // namespace cutaway
