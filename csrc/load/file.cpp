#include "load/file.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <numeric>
#include <type_traits>

#include "base/checked.h"
#include "base/error.h"
#include "load/gguf.h"
#include "load/open.h"

namespace cutaway {
namespace {

std::string describe(const Value& v) {
  const char* name = gguf::value_type_name(v.type);
  if (v.is_array) return "an array of " + std::to_string(v.size()) + " " + name;
  if (const auto* text = std::get_if<std::string>(&v.it)) return "the string \"" + printable(*text) + "\"";
  return std::string("a ") + name;
}

[[noreturn]] void wrong(const File& file, const std::string& key, const Value& v, const std::string& expected) {
  const std::string path = file.parts.empty() ? "" : file.parts[0];
  throw Error("ConfigError",
              printable(path, 400) + ": " + printable(key) + " is " + describe(v) + ", expected " + expected +
                  " (byte offset " + std::to_string(v.at) + ")",
              "", {{"path", path}, {"key", key}, {"offset", v.at}});
}

const Value* scalar(const File& file, const std::string& key, const char* expected) {
  const Value* v = file.value(key);
  if (v && v->is_array) wrong(file, key, *v, expected);
  return v;
}

// Every element of a numeric array through `convert`; null where the array's type is not one that `convert` takes.
template <typename Out, typename Accept>
std::vector<Out> numbers(const File& file, const std::string& key, const char* expected, Accept accept) {
  const Value* v = file.value(key);
  if (!v) return {};
  if (!v->is_array) wrong(file, key, *v, expected);
  std::vector<Out> out;
  bool taken = std::visit(
      [&](const auto& elements) {
        using T = typename std::decay_t<decltype(elements)>::value_type;
        if constexpr (std::is_arithmetic_v<T>) {
          out.reserve(elements.size());
          for (size_t i = 0; i < elements.size(); ++i)
            if (!accept(static_cast<T>(elements[i]), out)) return false;
          return true;
        }
        return false;
      },
      std::get<Value::Array>(v->it));
  if (!taken) wrong(file, key, *v, expected);
  return out;
}

}  // namespace

size_t Value::size() const {
  if (!is_array) return 1;
  return std::visit([](const auto& elements) { return elements.size(); }, std::get<Array>(it));
}

std::string TensorInfo::type_name() const {
  if (format) return format->name;
  const char* known = gguf_type_name(type);
  std::string name = known ? known : "type " + std::to_string(type);
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

File::~File() {
  for (const Handle& handle : handles)
    if (handle.fd >= 0) close(handle.fd);
}

void File::index_tensors(const char* error_kind) {
  by_name_.resize(tensors.size());
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  std::sort(by_name_.begin(), by_name_.end(), [&](uint32_t a, uint32_t b) {
    int order = tensors[a].name.compare(tensors[b].name);
    return order ? order < 0 : a < b;
  });
  for (size_t i = 1; i < by_name_.size(); ++i) {
    const TensorInfo &a = tensors[by_name_[i - 1]], &b = tensors[by_name_[i]];
    if (a.name != b.name) continue;
    const std::string& other = parts[static_cast<size_t>(a.part)];
    const std::string& path = parts[static_cast<size_t>(b.part)];
    throw Error(error_kind,
                printable(path, 400) + ": tensor " + a.name + " appears twice, first at byte offset " +
                    std::to_string(a.at) + (a.part != b.part ? " of " + printable(other, 400) : "") + " (byte offset " +
                    std::to_string(b.at) + ")",
                "", {{"path", path}, {"tensor", a.name}, {"first", a.at}, {"offset", b.at}});
  }
}

const TensorInfo* File::find(const std::string& tensor) const {
  auto it = std::lower_bound(by_name_.begin(), by_name_.end(), tensor,
                             [&](uint32_t i, const std::string& name) { return tensors[i].name < name; });
  return it != by_name_.end() && tensors[*it].name == tensor ? &tensors[*it] : nullptr;
}

const Value* File::value(const std::string& key) const {
  auto it = metadata.find(key);
  return it == metadata.end() ? nullptr : &it->second;
}

int64_t File::get_int(const std::string& key, int64_t fallback) const {
  const Value* v = scalar(*this, key, "an integer");
  if (!v) return fallback;
  if (const auto* i = std::get_if<int64_t>(&v->it)) return *i;
  const auto* u = std::get_if<uint64_t>(&v->it);
  if (!u) wrong(*this, key, *v, "an integer");
  if (*u > INT64_MAX) wrong(*this, key, *v, "an integer below 2^63, not " + std::to_string(*u));
  return static_cast<int64_t>(*u);
}

double File::get_float(const std::string& key, double fallback) const {
  const Value* v = scalar(*this, key, "a number");
  if (!v) return fallback;
  if (const auto* i = std::get_if<int64_t>(&v->it)) return static_cast<double>(*i);
  if (const auto* u = std::get_if<uint64_t>(&v->it)) return static_cast<double>(*u);
  if (const auto* d = std::get_if<double>(&v->it)) return *d;
  wrong(*this, key, *v, "a number");
}

bool File::get_bool(const std::string& key, bool fallback) const {
  const Value* v = scalar(*this, key, "a bool");
  if (!v) return fallback;
  if (const auto* b = std::get_if<bool>(&v->it)) return *b;
  wrong(*this, key, *v, "a bool");
}

std::string File::get_string(const std::string& key, const std::string& fallback) const {
  const Value* v = scalar(*this, key, "a string");
  if (!v) return fallback;
  if (const auto* s = std::get_if<std::string>(&v->it)) return *s;
  wrong(*this, key, *v, "a string");
}

const std::vector<std::string>* File::get_strings(const std::string& key) const {
  const Value* v = value(key);
  if (!v) return nullptr;
  if (!v->is_array || v->type != gguf::string) wrong(*this, key, *v, "an array of strings");
  return &std::get<std::vector<std::string>>(std::get<Value::Array>(v->it));
}

std::vector<double> File::get_floats(const std::string& key) const {
  return numbers<double>(*this, key, "an array of numbers", [](auto element, std::vector<double>& out) {
    if constexpr (std::is_same_v<decltype(element), bool>) return false;
    out.push_back(static_cast<double>(element));
    return true;
  });
}

std::vector<int64_t> File::get_ints(const std::string& key) const {
  return numbers<int64_t>(*this, key, "an array of integers", [](auto element, std::vector<int64_t>& out) {
    if constexpr (std::is_floating_point_v<decltype(element)>) return false;
    if constexpr (std::is_same_v<decltype(element), uint64_t>)
      if (element > INT64_MAX) return false;
    out.push_back(static_cast<int64_t>(element));
    return true;
  });
}

void File::read(const TensorInfo& tensor, uint64_t from, uint64_t count, void* out) const {
  if (!checked::inside(from, count, tensor.bytes))
    throw Error("ArgumentError",
                "tensor " + tensor.name + " has " + std::to_string(tensor.bytes) + " bytes, asked for " +
                    std::to_string(count) + " from " + std::to_string(from),
                "", {{"tensor", tensor.name}});
  if (tensor.made) tensor.made(*this, from, count, out);
  else read_part(tensor.part, tensor.offset + from, count, out);
}

void File::read_part(int part, uint64_t offset, uint64_t count, void* out) const {
  const auto i = static_cast<size_t>(part);
  read_at(handles[i], parts[i], offset, count, out);
  check_unchanged(handles[i], parts[i]);
}

}  // namespace cutaway
