// The tensors of a Hugging Face folder under GGUF's names, in GGUF's order of elements. What lies in the file as GGUF
// has it is read where it lies; the rest is made on reading, row by row (hf_made.h).
#include <algorithm>

#include "base/error.h"
#include "formats/format.h"
#include "load/hf.h"
#include "load/hf_made.h"

namespace cutaway {
namespace {

constexpr uint32_t f32_type = 0, f16_type = 1, mxfp4_type = 39, bf16_type = 30;  // ggml's ids
constexpr int64_t mxfp4_block = 32, mxfp4_bytes = 17;

using Axes = std::vector<int64_t>;

std::string shown(const Axes& shape) {
  std::string out;
  for (int64_t n : shape) out += (out.empty() ? "" : ", ") + std::to_string(n);
  return "[" + out + "]";
}

uint32_t type_of(const StoredTensor& t) {
  return t.dtype == "F32" ? f32_type : t.dtype == "F16" ? f16_type : bf16_type;
}

class Mapper {
 public:
  Mapper(const HfConfig& config, std::vector<StoredTensor> stored, File& file)
      : c(config), file_(file), stored_(std::move(stored)), used_(stored_.size()) {
    for (size_t i = 0; i < stored_.size(); ++i) by_name_[stored_[i].name] = i;
  }

  const HfConfig& c;

  bool has(const std::string& name) const { return by_name_.count(name) != 0; }

  // The prefix under which `name` is stored: models saved with and without their head, and the text part of multimodal
  // ones, differ in it.
  std::string prefix(const std::string& name, std::initializer_list<const char*> prefixes) const {
    std::string tried;
    for (const char* prefix : prefixes) {
      if (has(prefix + name)) return prefix;
      tried += (tried.empty() ? "" : ", ") + std::string(prefix) + name;
    }
    throw Error("MappingError", at() + "none of these tensors is there: " + tried, hint, {{"tensor", name}});
  }

  const Axes& shape(const std::string& name) const { return stored_[by_name_.at(name)].shape; }

  // As it lies in the file.
  void as_is(const std::string& name, const std::string& from, const Axes& axes) {
    const StoredTensor& t = floats(from, axes);
    add(name, type_of(t), axes, t, nullptr);
  }

  // As float32, `plus` added to each element.
  void as_f32(const std::string& name, const std::string& from, const Axes& axes, float plus = 0) {
    const StoredTensor& t = floats(from, axes);
    const bool same = t.dtype == "F32" && plus == 0;
    add(name, f32_type, axes, t, same ? Made{} : made_f32(source(t), plus));
  }

  // Rows [heads * width, ..], in each head those of the second half put between those of the first.
  void paired(const std::string& name, const std::string& from, const Axes& axes, int64_t heads) {
    const StoredTensor& t = floats(from, axes);
    const int64_t width = axes[0] / heads;
    const auto row = [width](int64_t r) { return r / width * width + (r % width % 2) * (width / 2) + r % width / 2; };
    if (axes.size() == 1) add(name, f32_type, axes, t, made_rows(source(t), 1, {row, true}));
    else add(name, type_of(t), axes, t, made_rows(source(t), axes[1], {row}));
  }

  // `axes` [.., in, out] as [.., out, in]; of the outputs every `step`-th from `first` on.
  void transposed(const std::string& name, const std::string& from, const Axes& axes, int64_t first = 0,
                  int64_t step = 1) {
    const StoredTensor& t = floats(from, axes);
    Axes out = axes;
    std::swap(out[out.size() - 2], out.back());
    out[out.size() - 2] /= step;
    add(name, type_of(t), out, t, made_transposed(source(t), axes[axes.size() - 2], axes.back(), first, step));
  }

  // [rows, columns] as float32, of the columns every second from `first` on.
  void every_second(const std::string& name, const std::string& from, const Axes& axes, int64_t first) {
    const StoredTensor& t = floats(from, axes);
    add(name, f32_type, {axes[0], axes[1] / 2}, t, made_rows(source(t), axes[1], {nullptr, true, first, 2}));
  }

  // Experts [X, N, K] from `from`_blocks [X, N, K / 32, 16] and `from`_scales [X, N, K / 32]; of the N rows every
  // `step`-th from `first` on.
  void mxfp4(const std::string& name, const std::string& from, const Axes& axes, int64_t first, int64_t step) {
    const int64_t N = axes[1], K = axes[2], groups = K / mxfp4_block;
    if (K % mxfp4_block) wrong(from + "_blocks", axes, "rows that are a multiple of 32");
    const StoredTensor& blocks = find(from + "_blocks", {axes[0], N, groups, 16});
    const StoredTensor& scales = find(from + "_scales", {axes[0], N, groups});
    for (const StoredTensor* t : {&blocks, &scales})
      if (t->dtype != "U8") refuse(*t);
    const auto row = [=](int64_t r) { return r / (N / step) * N + r % (N / step) * step + first; };
    add(name, mxfp4_type, {axes[0], N / step, K}, blocks, made_mxfp4(source(blocks), source(scales), groups, row));
  }

  void constant(const std::string& name, const std::vector<float>& values) {
    if (values.empty()) return;
    const StoredTensor nowhere{};
    add(name, f32_type, {static_cast<int64_t>(values.size())}, nowhere, made_constant(values));
  }

  // A stored tensor that the model does without.
  void ignore(const std::string& name) {
    if (const auto it = by_name_.find(name); it != by_name_.end()) used_[it->second] = true;
  }

  // Says what was not used, refuses what is stored in types that we do not read.
  void finish() {
    if (!refused_.empty()) {
      std::string list;
      for (size_t i = 0; i < std::min<size_t>(refused_.size(), 4); ++i) list += (i ? ", " : "") + refused_[i];
      throw Error(
          "UnsupportedModelError",
          at() + std::to_string(refused_.size()) + " tensors are of a type that we do not compute with: " + list +
              (refused_.size() > 4 ? ", ..." : "") + "; expected F32, F16 or BF16, and U8 for mxfp4",
          "convert the model to bfloat16", {{"path", c.path}, {"tensors", static_cast<int64_t>(refused_.size())}});
    }
    int64_t count = 0;
    std::string list;
    for (size_t i = 0; i < stored_.size(); ++i)
      if (!used_[i] && ++count <= 4) list += (list.empty() ? "" : ", ") + printable(stored_[i].name);
    if (count)
      file_.warnings.push_back(std::to_string(count) + " tensors belong to no part of the model that is run: " + list +
                               (count > 4 ? ", ..." : ""));
  }

 private:
  static constexpr const char* hint = "config.json and the tensors disagree; download the folder again";

  std::string at() const { return printable(c.path, 400) + ": "; }

  Source source(const StoredTensor& t) const { return {t.part, t.offset, type_of(t)}; }

  [[noreturn]] void wrong(const std::string& name, const Axes& got, const std::string& expected) const {
    throw Error("ConfigError", at() + "tensor " + printable(name) + " is " + shown(got) + ", expected " + expected,
                hint, {{"path", c.path}, {"tensor", name}, {"found", shown(got)}, {"expected", expected}});
  }

  const StoredTensor& find(const std::string& name, const Axes& axes) {
    const auto it = by_name_.find(name);
    if (it == by_name_.end())
      throw Error("MappingError", at() + "tensor " + printable(name) + " is missing", hint, {{"tensor", name}});
    const StoredTensor& t = stored_[it->second];
    if (t.shape != axes) wrong(name, t.shape, shown(axes) + " by the numbers of config.json");
    used_[it->second] = true;
    return t;
  }

  void refuse(const StoredTensor& t) { refused_.push_back(printable(t.name) + " (" + t.dtype + ")"); }

  const StoredTensor& floats(const std::string& name, const Axes& axes) {
    const StoredTensor& t = find(name, axes);
    if (t.dtype != "F32" && t.dtype != "F16" && t.dtype != "BF16") refuse(t);
    return t;
  }

  void add(const std::string& name, uint32_t type, const Axes& axes, const StoredTensor& from, Made made) {
    TensorInfo t{};
    t.name = name;
    t.format = find_format(type);
    for (int64_t n : axes) t.shape[t.shape.rank++] = n;
    t.offset = from.offset;
    t.bytes = static_cast<uint64_t>(t.shape.rows() * row_bytes(*t.format, t.shape.last()));
    t.part = from.part;
    t.type = type;
    t.made = std::move(made);
    file_.tensors.push_back(std::move(t));
  }

  File& file_;
  std::vector<StoredTensor> stored_;
  std::map<std::string, size_t> by_name_;
  std::vector<bool> used_;
  std::vector<std::string> refused_;  // needed, but of a type that we do not read
};

std::string layer(int64_t i) { return "blk." + std::to_string(i) + "."; }

void map_gpt2(Mapper& m, const std::string& root, int64_t V) {
  const HfConfig& c = m.c;
  const auto norm = [&](const std::string& name, const std::string& from) {
    m.as_f32(name + ".weight", from + ".weight", {c.D});
    m.as_f32(name + ".bias", from + ".bias", {c.D});
  };
  const auto linear = [&](const std::string& name, const std::string& from, int64_t in, int64_t out) {
    m.transposed(name + ".weight", from + ".weight", {in, out});
    m.as_f32(name + ".bias", from + ".bias", {out});
  };
  m.as_is("token_embd.weight", root + "wte.weight", {V, c.D});
  m.as_f32("position_embd.weight", root + "wpe.weight", {c.context, c.D});
  for (int64_t i = 0; i < c.L; ++i) {
    const std::string to = layer(i), from = root + "h." + std::to_string(i) + ".";
    norm(to + "attn_norm", from + "ln_1");
    linear(to + "attn_qkv", from + "attn.c_attn", c.D, 3 * c.D);
    linear(to + "attn_output", from + "attn.c_proj", c.D, c.D);
    norm(to + "ffn_norm", from + "ln_2");
    linear(to + "ffn_up", from + "mlp.c_fc", c.D, c.F);
    linear(to + "ffn_down", from + "mlp.c_proj", c.F, c.D);
    for (const char* mask : {"attn.bias", "attn.masked_bias"}) m.ignore(from + mask);  // the causal mask, no weights
  }
  norm("output_norm", root + "ln_f");
}

void map_experts(Mapper& m, const std::string& to, const std::string& from) {
  const HfConfig& c = m.c;
  m.as_f32(to + "ffn_gate_inp.weight", from + "router.weight", {c.X, c.D});
  m.as_f32(to + "ffn_gate_inp.bias", from + "router.bias", {c.X});
  const std::string both = from + "experts.gate_up_proj", down = from + "experts.down_proj";
  for (int64_t odd : {0, 1}) {  // rows of gate and up alternate
    const std::string name = to + (odd ? "ffn_up_exps" : "ffn_gate_exps");
    if (m.has(both + "_blocks")) m.mxfp4(name + ".weight", both, {c.X, 2 * c.F, c.D}, odd, 2);
    else m.transposed(name + ".weight", both, {c.X, c.D, 2 * c.F}, odd, 2);
    m.every_second(name + ".bias", both + "_bias", {c.X, 2 * c.F}, odd);
  }
  if (m.has(down + "_blocks")) m.mxfp4(to + "ffn_down_exps.weight", down, {c.X, c.D, c.F}, 0, 1);
  else m.transposed(to + "ffn_down_exps.weight", down, {c.X, c.F, c.D});
  m.as_f32(to + "ffn_down_exps.bias", down + "_bias", {c.X, c.D});
}

void map_attention(Mapper& m, const std::string& to, const std::string& from) {
  const HfConfig& c = m.c;
  const int64_t HE = c.H * c.E, GE = c.G * c.E;
  if (c.arch == "phi3") m.as_is(to + "attn_qkv.weight", from + "qkv_proj.weight", {HE + 2 * GE, c.D});
  for (const auto& [letter, rows, heads] :
       {std::tuple("q", HE, c.H), std::tuple("k", GE, c.G), std::tuple("v", GE, c.G)}) {
    if (c.arch == "phi3") break;
    const std::string name = to + "attn_" + letter, source = from + letter + "_proj";
    // llama's files turn neighbours, everyone else's and Hugging Face's the two halves of a head.
    const bool turned = c.arch == "llama" && *letter != 'v';
    if (turned) m.paired(name + ".weight", source + ".weight", {rows, c.D}, heads);
    else m.as_is(name + ".weight", source + ".weight", {rows, c.D});
    if (!c.qkv_bias) continue;
    if (turned) m.paired(name + ".bias", source + ".bias", {rows}, heads);
    else m.as_f32(name + ".bias", source + ".bias", {rows});
  }
  m.as_is(to + "attn_output.weight", from + "o_proj.weight", {c.D, HE});
  if (c.out_bias) m.as_f32(to + "attn_output.bias", from + "o_proj.bias", {c.D});
  if (c.arch == "gpt-oss") m.as_f32(to + "attn_sinks.weight", from + "sinks", {c.H});
  m.ignore(from + "rotary_emb.inv_freq");
}

void map_dense(Mapper& m, const std::string& to, const std::string& from) {
  const HfConfig& c = m.c;
  const auto linear = [&](const char* name, const char* source, int64_t in, int64_t out) {
    m.as_is(to + name + ".weight", from + source + ".weight", {out, in});
    if (c.mlp_bias) m.as_f32(to + name + ".bias", from + source + ".bias", {out});
  };
  if (c.arch == "phi3") {
    linear("ffn_up", "gate_up_proj", c.D, 2 * c.F);
  } else {
    linear("ffn_gate", "gate_proj", c.D, c.F);
    linear("ffn_up", "up_proj", c.D, c.F);
  }
  linear("ffn_down", "down_proj", c.F, c.D);
}

void map_decoder(Mapper& m, const std::string& root, int64_t V) {
  const HfConfig& c = m.c;
  const bool gemma = c.arch == "gemma3", oss = c.arch == "gpt-oss";
  const auto norm = [&](const std::string& name, const std::string& from, int64_t n) {
    m.as_f32(name + ".weight", from + ".weight", {n}, gemma ? 1.0f : 0.0f);  // gemma3's are kept as what is added to 1
  };
  m.constant("rope_freqs.weight", c.rope_freqs);
  m.constant("rope_factors_long.weight", c.rope_factors_long);
  m.constant("rope_factors_short.weight", c.rope_factors_short);
  m.as_is("token_embd.weight", root + "embed_tokens.weight", {V, c.D});
  for (int64_t i = 0; i < c.L; ++i) {
    const std::string to = layer(i), from = root + "layers." + std::to_string(i) + ".";
    norm(to + "attn_norm", from + "input_layernorm", c.D);
    map_attention(m, to, from + "self_attn.");
    if (gemma || c.arch == "qwen3") {
      norm(to + "attn_q_norm", from + "self_attn.q_norm", c.E);
      norm(to + "attn_k_norm", from + "self_attn.k_norm", c.E);
    }
    norm(to + (gemma || oss ? "post_attention_norm" : "ffn_norm"), from + "post_attention_layernorm", c.D);
    if (gemma) {
      norm(to + "ffn_norm", from + "pre_feedforward_layernorm", c.D);
      norm(to + "post_ffw_norm", from + "post_feedforward_layernorm", c.D);
    }
    if (oss) map_experts(m, to, from + "mlp.");
    else map_dense(m, to, from + "mlp.");
  }
  norm("output_norm", root + "norm", c.D);
}

// GGUF's hint of what most weights are stored as (models: general.file_type).
int64_t file_type(const File& file) {
  uint64_t bytes[3] = {};  // f32, f16, bf16
  for (const TensorInfo& t : file.tensors) {
    if (t.type == mxfp4_type) return 38;
    if (t.shape.rank > 1) bytes[t.type == f32_type ? 0 : t.type == f16_type ? 1 : 2] += t.bytes;
  }
  return bytes[2] > std::max(bytes[0], bytes[1]) ? 32 : bytes[1] > bytes[0] ? 1 : 0;
}

}  // namespace

void map_hf_tensors(const HfConfig& c, std::vector<StoredTensor> stored, File& file) {
  Mapper m(c, std::move(stored), file);
  const bool gpt2 = c.arch == "gpt2";
  const std::string root =
      gpt2 ? m.prefix("wte.weight", {"transformer.", ""})
           : m.prefix("embed_tokens.weight", {"model.", "language_model.model.", "model.language_model.", ""});
  const Axes& table = m.shape(root + (gpt2 ? "wte.weight" : "embed_tokens.weight"));
  const int64_t V = c.V ? c.V : table.empty() ? 0 : table[0];
  const std::string head = m.has("language_model.lm_head.weight") ? "language_model.lm_head.weight" : "lm_head.weight";
  if (c.tied) m.ignore(head);  // some files have it twice
  else if (m.has(head) || c.arch == "gpt-oss") m.as_is("output.weight", head, {V, c.D});
  else file.warnings.push_back("lm_head.weight is missing, so the head is tied to the embedding");
  if (gpt2) map_gpt2(m, root, V);
  else map_decoder(m, root, V);
  m.finish();
  put_u32(file, c.arch + ".vocab_size", V);
  put_u32(file, "general.file_type", file_type(file));
  put_u32(file, "general.quantization_version", 2);
}

}  // namespace cutaway
