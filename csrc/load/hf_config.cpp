// config.json -> GGUF's metadata. Every fallback here is the default of the architecture's configuration class in
// transformers 5.23 (models/*/configuration_*.py), which reads an old, short config.json with the same numbers.
//
// For what GGUF has no key, keys of ours, under the architecture's name:
//   attention.scale                       f64     gemma3: what scores are multiplied by, query_pre_attn_scalar^-0.5
//   attention.sliding_window_pattern      bool[]  one per layer, true: windowed (llama.cpp reads this form too)
//   attn_logit_softcapping                f32     gemma3, where configured
//   rope.scaling.yarn_truncate            bool    whether the ends of YaRN's ramp are rounded
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "load/hf.h"

namespace cutaway {
namespace {

struct Kind {
  const char *arch, *model_type, *model_class;
};
constexpr Kind kinds[] = {{"gpt2", "gpt2", "GPT2LMHeadModel"},
                          {"llama", "llama", "LlamaForCausalLM"},
                          {"llama", "llama", "LLaMAForCausalLM"},  // before transformers 4.28
                          {"qwen2", "qwen2", "Qwen2ForCausalLM"},
                          {"qwen3", "qwen3", "Qwen3ForCausalLM"},
                          {"phi3", "phi3", "Phi3ForCausalLM"},
                          {"gemma3", "gemma3_text", "Gemma3ForCausalLM"},
                          {"gemma3", "gemma3", "Gemma3ForConditionalGeneration"},
                          {"gpt-oss", "gpt_oss", "GptOssForCausalLM"}};

std::string shown(auto value) { return std::to_string(value); }

std::string names(const char* Kind::*which) {
  std::string out;
  const char* last = "";
  for (const Kind& kind : kinds)
    if (std::string_view(last) != kind.*which) out += (out.empty() ? "" : ", ") + std::string(last = kind.*which);
  return out;
}

// model_type decides, as in transformers; the class, where it is named, must be the one with a head over the words.
std::string architecture(const HfObject& root) {
  const std::string type = root.text("model_type", "");
  std::string model_class;
  if (const Json* list = root.get("architectures")) {
    const Json* first = list->array() && !list->array()->empty() ? &(*list->array())[0] : nullptr;
    if (!first || !first->string())
      root.wrong("architectures", list->type_name(), "a list that begins with a class name");
    model_class = *first->string();
  }
  std::string arch;
  for (const Kind& kind : kinds)
    if (type.empty() ? model_class == kind.model_class : type == kind.model_type) arch = kind.arch;
  if (arch.empty() && type.empty())
    root.unsupported("architectures", printable(model_class), names(&Kind::model_class));
  if (arch.empty()) root.unsupported("model_type", printable(type), names(&Kind::model_type));
  for (const Kind& kind : kinds)
    if (arch == kind.arch && (model_class.empty() || model_class == kind.model_class)) return arch;
  root.unsupported("architectures", printable(model_class), names(&Kind::model_class));
}

void check_choice(const HfObject& config, const std::string& key, const std::string& fallback,
                  std::initializer_list<const char*> supported) {
  const std::string value = config.text(key, fallback);
  std::string all;
  for (const char* one : supported) {
    if (value == one) return;
    all += (all.empty() ? "" : ", ") + std::string(one);
  }
  config.unsupported(key, printable(value), all);
}

void check_flag(const HfObject& config, const std::string& key, bool only) {
  if (config.flag(key, only) != only) config.unsupported(key, only ? "false" : "true", only ? "true" : "false");
}

void check_quantization(const HfObject& root, const std::string& arch) {
  // MLX names no method, and gives its numbers under either word.
  const HfObject mlx = root.object("quantization"), quantised = root.object("quantization_config");
  if (mlx.json && !quantised.json)
    root.unsupported("quantization", "mlx", "none, and mxfp4 in gpt-oss; convert the unquantised model");
  if (quantised.json) {
    const bool bits_only = quantised.get("bits") && quantised.get("group_size");
    const std::string method = quantised.text("quant_method", bits_only ? "absent, as in mlx" : "absent");
    if (method != "mxfp4" || arch != "gpt-oss")
      root.unsupported("quantization_config.quant_method", printable(method),
                       "none, and mxfp4 in gpt-oss; convert the unquantised model");
  }
}

// Which layers see a window only: layer_types where it is said.
std::vector<bool> windowed_layers(const HfObject& config, const HfConfig& c, bool (*fallback)(int64_t, int64_t),
                                  int64_t argument) {
  std::vector<bool> out(static_cast<size_t>(c.L));
  const Json* types = config.get("layer_types");
  if (!types) {
    for (int64_t i = 0; i < c.L; ++i) out[static_cast<size_t>(i)] = fallback(i, argument);
    return out;
  }
  if (!types->array() || types->array()->size() != out.size())
    config.wrong("layer_types", types->array() ? shown(types->array()->size()) + " values" : types->type_name(),
                 "one for each of the " + shown(c.L) + " layers");
  for (size_t i = 0; i < out.size(); ++i) {
    const std::string* type = (*types->array())[i].string();
    if (!type || (*type != "sliding_attention" && *type != "full_attention"))
      config.unsupported("layer_types", type ? printable(*type) : (*types->array())[i].type_name(),
                         "sliding_attention, full_attention");
    out[i] = *type == "sliding_attention";
  }
  return out;
}

// 0: none, which null says in every class.
int64_t window_of(const HfObject& config, int64_t fallback) {
  return config.is_null("sliding_window") ? 0 : config.integer("sliding_window", fallback, 0);
}

void put_windows(const HfObject& config, const HfConfig& c, int64_t window, std::vector<bool> windowed, File& file) {
  const bool any = std::find(windowed.begin(), windowed.end(), true) != windowed.end();
  if (any && window == 0) config.wrong("sliding_window", "null", "a number, because some layers have a window");
  const bool by_layer = c.arch == "gemma3" || c.arch == "gpt-oss";  // whose files without a pattern mean another
  if (!any && !by_layer) return;
  put_u32(file, c.arch + ".attention.sliding_window", window);
  put_bools(file, c.arch + ".attention.sliding_window_pattern", std::move(windowed));
}

bool from_layer(int64_t layer, int64_t first) { return layer >= first; }
bool but_every(int64_t layer, int64_t pattern) { return (layer + 1) % pattern != 0; }

void read_gpt2(const HfObject& config, HfConfig& c, File& file) {
  c.L = config.integer("n_layer", 12, 1, 4096);
  c.D = config.integer("n_embd", 768, 1, 1048576);
  c.H = c.G = config.integer("n_head", 12, 1, 4096);
  c.context = config.integer("n_positions", 1024);
  c.F = config.integer("n_inner", 4 * c.D);
  if (c.D % c.H) config.wrong("n_head", shown(c.H), "a divisor of n_embd = " + shown(c.D));
  c.E = c.D / c.H;
  check_choice(config, "activation_function", "gelu_new", {"gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh"});
  check_flag(config, "scale_attn_weights", true);
  check_flag(config, "scale_attn_by_inverse_layer_idx", false);
  check_flag(config, "add_cross_attention", false);
  put_u32(file, "gpt2.block_count", c.L);
  put_u32(file, "gpt2.context_length", c.context);
  put_u32(file, "gpt2.embedding_length", c.D);
  put_u32(file, "gpt2.feed_forward_length", c.F);
  put_u32(file, "gpt2.attention.head_count", c.H);
  put_f32(file, "gpt2.attention.layer_norm_epsilon", config.number("layer_norm_epsilon", 1e-5));
}

// The defaults in which the other six differ.
struct Defaults {
  int64_t L, D, F, H, G, E, context;  // G, E 0: H, D / H
  double eps;
};

void read_common(const HfObject& config, const Defaults& d, HfConfig& c, File& file) {
  const std::string& a = c.arch;
  c.L = config.integer("num_hidden_layers", d.L, 1, 4096);
  c.D = config.integer("hidden_size", d.D, 1, 1048576);
  c.F = config.integer("intermediate_size", d.F);
  c.H = config.integer("num_attention_heads", d.H, 1, 4096);
  c.G = config.integer("num_key_value_heads", d.G ? d.G : c.H, 1, 4096);
  if (config.is_null("num_key_value_heads")) c.G = c.H;
  if (c.H % c.G) config.wrong("num_key_value_heads", shown(c.G), "a divisor of num_attention_heads = " + shown(c.H));
  if (!config.get("head_dim") && !d.E && c.D % c.H)
    config.wrong("num_attention_heads", shown(c.H), "a divisor of hidden_size = " + shown(c.D));
  c.E = config.integer("head_dim", d.E ? d.E : c.D / c.H, 1, 1048576);
  c.context = config.integer("max_position_embeddings", d.context);
  put_u32(file, a + ".block_count", c.L);
  put_u32(file, a + ".context_length", c.context);
  put_u32(file, a + ".embedding_length", c.D);
  put_u32(file, a + ".feed_forward_length", c.F);
  put_u32(file, a + ".attention.head_count", c.H);
  put_u32(file, a + ".attention.head_count_kv", c.G);
  put_u32(file, a + ".attention.key_length", c.E);
  put_u32(file, a + ".attention.value_length", c.E);
  put_f32(file, a + ".attention.layer_norm_rms_epsilon", config.number("rms_norm_eps", d.eps));
  if (a != "gemma3") check_choice(config, "hidden_act", "silu", {"silu", "swish"});
}

void read_llama(const HfObject& config, HfConfig& c, File& file) {
  read_common(config, {.L = 32, .D = 4096, .F = 11008, .H = 32, .G = 0, .E = 0, .context = 2048, .eps = 1e-6}, c, file);
  c.qkv_bias = c.out_bias = config.flag("attention_bias", false);
  c.mlp_bias = config.flag("mlp_bias", false);
  read_hf_rope(config, c.E, c, file);
}

void read_qwen(const HfObject& config, HfConfig& c, File& file) {
  const bool three = c.arch == "qwen3";
  read_common(config,
              {.L = 32, .D = 4096, .F = 22016, .H = 32, .G = 32, .E = three ? 128 : 0, .context = 32768, .eps = 1e-6},
              c, file);
  c.qkv_bias = !three || config.flag("attention_bias", false);
  c.out_bias = three && c.qkv_bias;
  const bool windows = config.flag("use_sliding_window", false);
  const int64_t window = windows ? window_of(config, 4096) : 0;
  const int64_t first = windows ? config.integer("max_window_layers", 28, 0) : c.L;
  put_windows(config, c, window, windowed_layers(config, c, from_layer, first), file);
  read_hf_rope(config, c.E, c, file);
}

void read_phi3(const HfObject& config, HfConfig& c, File& file) {
  read_common(config, {.L = 32, .D = 3072, .F = 8192, .H = 32, .G = 0, .E = 0, .context = 4096, .eps = 1e-5}, c, file);
  put_u32(file, "phi3.attention.sliding_window", window_of(config, 0));  // on all layers; 0: none
  const HfObject rope = config.object(config.object("rope_scaling").json ? "rope_scaling" : "rope_parameters");
  const double part = rope.number("partial_rotary_factor", config.number("partial_rotary_factor", 1.0));
  if (part > 1) config.wrong("partial_rotary_factor", shown(part), "at most 1");
  read_hf_rope(config, static_cast<int64_t>(static_cast<double>(c.E) * part), c, file);
}

void read_gemma3(const HfObject& config, HfConfig& c, File& file) {
  read_common(config, {.L = 26, .D = 2304, .F = 9216, .H = 8, .G = 4, .E = 256, .context = 131072, .eps = 1e-6}, c,
              file);
  check_choice(config, "hidden_activation", "gelu_pytorch_tanh", {"gelu_pytorch_tanh", "gelu_new", "gelu_python_tanh"});
  check_flag(config, "attention_bias", false);
  check_flag(config, "use_bidirectional_attention", false);
  put_f64(file, "gemma3.attention.scale", 1 / std::sqrt(config.number("query_pre_attn_scalar", 256)));
  for (const char* cap : {"attn_logit_softcapping", "final_logit_softcapping"})
    if (config.get(cap)) put_f32(file, std::string("gemma3.") + cap, config.number(cap, {}));
  const int64_t pattern = config.integer("sliding_window_pattern", 6);
  put_windows(config, c, window_of(config, 4096), windowed_layers(config, c, but_every, pattern), file);
  read_hf_rope(config, c.E, c, file);
}

void read_gpt_oss(const HfObject& config, HfConfig& c, File& file) {
  read_common(config, {.L = 36, .D = 2880, .F = 2880, .H = 64, .G = 8, .E = 64, .context = 131072, .eps = 1e-5}, c,
              file);
  check_flag(config, "attention_bias", true);
  for (const auto& [key, only] : {std::pair("swiglu_alpha", 1.702), std::pair("swiglu_limit", 7.0)})
    if (const double x = config.number(key, only); x != only) config.unsupported(key, shown(x), shown(only));
  c.qkv_bias = c.out_bias = true;
  c.X = config.integer("num_local_experts", 128, 1, 65536);
  put_u32(file, "gpt-oss.expert_count", c.X);
  put_u32(file, "gpt-oss.expert_used_count", config.integer("num_experts_per_tok", 4, 1, c.X));
  put_u32(file, "gpt-oss.expert_feed_forward_length", c.F);
  put_windows(config, c, window_of(config, 128), windowed_layers(config, c, but_every, 2), file);
  read_hf_rope(config, c.E, c, file);
}

}  // namespace

HfConfig read_hf_config(const std::string& path, const Json& json, File& file) {
  const HfObject root{&json, path};
  if (!json.object()) root.wrong("the text", json.type_name(), "an object");
  HfConfig c{};
  c.path = path;
  c.arch = architecture(root);
  check_quantization(root, c.arch);
  if (root.get("auto_map"))
    file.warnings.push_back(path + ": auto_map names Python code of the folder, which is never imported");
  // The text model of a multimodal one has a config of its own, with the head's tie outside it.
  HfObject config = c.arch == "gemma3" && root.get("text_config") ? root.object("text_config") : root;
  if (!config.json) config.json = root.get("text_config");  // an empty object: all defaults
  const bool tied = c.arch == "gpt2" || c.arch == "gemma3";
  c.tied = config.flag("tie_word_embeddings", root.flag("tie_word_embeddings", tied));
  if (config.get("vocab_size")) c.V = config.integer("vocab_size", {}, 1, 4194304);

  put_string(file, "general.architecture", c.arch);
  if (c.arch == "gpt2") read_gpt2(config, c, file);
  else if (c.arch == "llama") read_llama(config, c, file);
  else if (c.arch == "phi3") read_phi3(config, c, file);
  else if (c.arch == "gemma3") read_gemma3(config, c, file);
  else if (c.arch == "gpt-oss") read_gpt_oss(config, c, file);
  else read_qwen(config, c, file);
  return c;
}

}  // namespace cutaway
