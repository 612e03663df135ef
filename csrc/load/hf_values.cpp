// Values of config.json with their types checked, and metadata values with GGUF's types.
#include <cmath>

#include "base/error.h"
#include "load/gguf.h"
#include "load/hf.h"

namespace cutaway {
namespace {

void put(File& file, const std::string& key, uint32_t type, decltype(Value::it) it, bool is_array = false) {
  Value value;
  value.it = std::move(it);
  value.type = type;
  value.is_array = is_array;
  if (file.metadata.emplace(key, std::move(value)).second) file.keys.push_back(key);
}

}  // namespace

void put_string(File& file, const std::string& key, const std::string& value) { put(file, key, gguf::string, value); }
void put_u32(File& file, const std::string& key, int64_t value) {
  put(file, key, gguf::u32, static_cast<uint64_t>(value));
}
void put_f32(File& file, const std::string& key, double value) {
  put(file, key, gguf::f32, static_cast<double>(static_cast<float>(value)));
}
void put_f64(File& file, const std::string& key, double value) { put(file, key, gguf::f64, value); }
void put_bool(File& file, const std::string& key, bool value) { put(file, key, gguf::boolean, value); }
void put_bools(File& file, const std::string& key, std::vector<bool> values) {
  put(file, key, gguf::boolean, Value::Array(std::move(values)), true);
}

const Json* HfObject::get(std::string_view key) const {
  const Json* value = json ? json->find(key) : nullptr;
  return value && !value->is_null() ? value : nullptr;
}

bool HfObject::is_null(std::string_view key) const {
  const Json* value = json ? json->find(key) : nullptr;
  return value && value->is_null();
}

HfObject HfObject::object(std::string_view key) const {
  const Json* value = get(key);
  if (value && !value->object()) wrong(std::string(key), value->type_name(), "an object");
  return {value && !value->object()->empty() ? value : nullptr, path};
}

void HfObject::wrong(const std::string& key, const std::string& got, const std::string& expected) const {
  const Json* value = get(key);
  const uint64_t at = value ? value->at : json ? json->at : 0;
  throw Error("ConfigError",
              printable(path, 400) + ": " + key + " is " + got + ", expected " + expected + " (byte offset " +
                  std::to_string(at) + ")",
              "config.json is wrong, or of another model; download the folder again",
              {{"path", path}, {"key", key}, {"offset", at}});
}

void HfObject::unsupported(const std::string& key, const std::string& got, const std::string& supported) const {
  throw Error("UnsupportedModelError",
              printable(path, 400) + ": " + key + " is \"" + got + "\"; supported: " + supported, "",
              {{"path", path}, {"key", key}});
}

int64_t HfObject::integer(const std::string& key, std::optional<int64_t> fallback, int64_t least, int64_t most) const {
  const Json* value = get(key);
  if (!value && !fallback) wrong(key, "absent", "an integer");
  if (value && !value->integer()) wrong(key, value->type_name(), "an integer");
  const int64_t n = value ? *value->integer() : *fallback;
  if (n < least || n > most) wrong(key, std::to_string(n), std::to_string(least) + " to " + std::to_string(most));
  return n;
}

double HfObject::number(const std::string& key, std::optional<double> fallback) const {
  const Json* value = get(key);
  if (!value && !fallback) wrong(key, "absent", "a number above 0");
  if (value && !value->number()) wrong(key, value->type_name(), "a number above 0");
  const double x = value ? *value->number() : *fallback;
  if (!(x > 0) || std::isinf(x)) wrong(key, std::to_string(x), "a finite number above 0");
  return x;
}

bool HfObject::flag(const std::string& key, bool fallback) const {
  const Json* value = get(key);
  if (value && !value->boolean()) wrong(key, value->type_name(), "true or false");
  return value ? *value->boolean() : fallback;
}

std::string HfObject::text(const std::string& key, const std::string& fallback) const {
  const Json* value = get(key);
  if (value && !value->string()) wrong(key, value->type_name(), "a string");
  return value ? *value->string() : fallback;
}

}  // namespace cutaway
