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
};

std::string supported() {
  std::string out;
  for (const Architecture* arch : architectures()) out += (out.empty() ? "" : ", ") + std::string(arch->name);
  return out;
}

}  // namespace

Config read_config(const File& file) {
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
  c.F = read.integer("feed_forward_length", 16777216, c.arch == "gpt2" ? 4 * c.D : -1);
  c.context = read.integer("context_length", 16777216);
  bool rms = file.value(read.key("attention.layer_norm_rms_epsilon"));
  c.eps = static_cast<float>(read.positive(rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"));

  c.rope_base = read.positive("rope.freq_base", 10000.0);
  c.rope_width = read.integer("rope.dimension_count", c.E, c.E);
  if (c.arch != "gpt2" && c.rope_width % 2)
    read.fail("rope.dimension_count", std::to_string(c.rope_width), "an even number");
  std::string scaling = file.get_string(read.key("rope.scaling.type"), "");
  if (!scaling.empty() && scaling != "none" && scaling != "linear")
    throw Error("UnsupportedModelError", file.parts[0] + ": " + read.key("rope.scaling.type") + " is \"" +
                                             printable(scaling) +
                                             "\"; supported are none and linear, and llama3 through rope_freqs.weight");
  bool scaled = scaling != "none" && file.get_float(read.key("rope.scaling.factor"), 0) != 0;
  c.rope_factor = scaled ? read.positive("rope.scaling.factor") : 1.0;

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
