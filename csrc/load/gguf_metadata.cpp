// The metadata of a GGUF file: its keys, and values of the thirteen types. Arrays of arrays are refused, so nothing
// recurses.
#include <algorithm>

#include "base/checked.h"
#include "load/cursor.h"
#include "load/gguf.h"

namespace cutaway {
namespace {

using namespace gguf;

std::string number(uint64_t n) { return std::to_string(n); }

template <typename T>
std::vector<T> read_numbers(Cursor& in, uint64_t n) {
  std::vector<T> numbers(n);
  in.take(numbers.data(), n * sizeof(T));
  return numbers;
}

bool read_bool(Cursor& in) {
  uint64_t at = in.pos();
  auto byte = in.get<uint8_t>("a bool");
  if (byte > 1) in.fail("GGUFError", at, "a bool is " + number(byte) + ", expected 0 or 1");
  return byte == 1;
}

Value::Array read_elements(Cursor& in, uint32_t type, uint64_t n, const Limits& limits) {
  switch (type) {
    case u8:
      return read_numbers<uint8_t>(in, n);
    case i8:
      return read_numbers<int8_t>(in, n);
    case u16:
      return read_numbers<uint16_t>(in, n);
    case i16:
      return read_numbers<int16_t>(in, n);
    case u32:
      return read_numbers<uint32_t>(in, n);
    case i32:
      return read_numbers<int32_t>(in, n);
    case f32:
      return read_numbers<float>(in, n);
    case u64:
      return read_numbers<uint64_t>(in, n);
    case i64:
      return read_numbers<int64_t>(in, n);
    case f64:
      return read_numbers<double>(in, n);
    case boolean: {
      std::vector<bool> bools(n);
      for (uint64_t i = 0; i < n; ++i) bools[i] = read_bool(in);
      return bools;
    }
    default: {
      std::vector<std::string> strings;
      strings.reserve(n);
      for (uint64_t i = 0; i < n; ++i)
        strings.push_back(in.string("a string", limits.string_bytes, Cursor::limit_exceeded));
      return strings;
    }
  }
}

uint32_t read_type(Cursor& in, const std::string& key, const char* what) {
  uint64_t at = in.pos();
  auto type = in.get<uint32_t>("a value type");
  if (type >= value_types)
    in.fail("GGUFError", at, "key " + key + " has " + what + " " + number(type) + ", expected 0 to 12", "",
            {{"key", key}});
  return type;
}

Value read_value(Cursor& in, const std::string& key, const Limits& limits) {
  Value value;
  value.type = read_type(in, key, "value type");
  switch (value.type) {
    case u8:
      value.it = uint64_t{in.get<uint8_t>("a u8")};
      return value;
    case u16:
      value.it = uint64_t{in.get<uint16_t>("a u16")};
      return value;
    case u32:
      value.it = uint64_t{in.get<uint32_t>("a u32")};
      return value;
    case u64:
      value.it = in.get<uint64_t>("a u64");
      return value;
    case i8:
      value.it = int64_t{in.get<int8_t>("an i8")};
      return value;
    case i16:
      value.it = int64_t{in.get<int16_t>("an i16")};
      return value;
    case i32:
      value.it = int64_t{in.get<int32_t>("an i32")};
      return value;
    case i64:
      value.it = in.get<int64_t>("an i64");
      return value;
    case f32:
      value.it = double{in.get<float>("an f32")};
      return value;
    case f64:
      value.it = in.get<double>("an f64");
      return value;
    case boolean:
      value.it = read_bool(in);
      return value;
    case string:
      value.it = in.string("a string", limits.string_bytes, Cursor::limit_exceeded);
      return value;
    default:
      break;
  }
  value.is_array = true;
  uint64_t at = in.pos();
  value.type = read_type(in, key, "array element type");
  if (value.type == array)
    in.fail("GGUFError", at, "key " + key + " is an array of arrays, expected numbers or strings", "", {{"key", key}});
  at = in.pos();
  auto n = in.get<uint64_t>("an array's length");
  if (n > limits.array_elements)
    in.fail(Cursor::limit_exceeded, at,
            "key " + key + " is an array of " + number(n) + " elements, the cap is " + number(limits.array_elements),
            "", {{"limit", std::string("array_elements")}, {"value", n}, {"key", key}});
  uint64_t least = 0;
  if (!checked::mul(n, value_bytes(value.type), &least))
    in.fail("GGUFError", at, "size overflow: the array of key " + key);
  in.need(least, "an array");
  value.it = read_elements(in, value.type, n, limits);
  return value;
}

}  // namespace

void gguf::read_metadata(Cursor& in, uint64_t keys, const Limits& limits, File& file) {
  for (uint64_t i = 0; i < keys; ++i) {
    uint64_t at = in.pos();
    std::string key = in.string("a key", limits.key_bytes, "GGUFError");
    if (const char* fault = key_fault(key))
      in.fail("GGUFError", at, "key " + number(i) + " \"" + printable(key) + "\" " + fault);
    auto [slot, fresh] = file.metadata.try_emplace(key);
    if (!fresh)
      in.fail("GGUFError", at,
              "key " + printable(key) + " appears twice, first at byte offset " + number(slot->second.at), "",
              {{"key", key}, {"first", slot->second.at}});
    slot->second = read_value(in, key, limits);
    slot->second.at = at;
    file.keys.push_back(std::move(key));
  }
}

const char* gguf::key_fault(const std::string& key) {
  if (key.empty()) return "is empty";
  bool ascii = std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  return ascii ? nullptr : "has characters other than printable ASCII";
}

const char* gguf::name_fault(const std::string& name) {
  if (name.empty()) return "is empty";
  if (name.find("../") != std::string::npos) return "looks like a path";
  for (size_t i = 0; i < name.size();) {
    auto c = static_cast<unsigned char>(name[i]);
    auto next = [&](size_t k) { return i + k < name.size() ? static_cast<unsigned char>(name[i + k]) : 0u; };
    size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
    for (size_t k = 1; k < n; ++k)
      if (next(k) >> 6 != 2) n = 0;
    bool overlong = (c == 0xc0 || c == 0xc1) || (c == 0xe0 && next(1) < 0xa0) || (c == 0xf0 && next(1) < 0x90);
    bool beyond = (c == 0xed && next(1) >= 0xa0) || (c == 0xf4 && next(1) >= 0x90) || c > 0xf4;
    if (n == 0 || overlong || beyond) return "is not UTF-8";
    if (c < 0x20 || c == 0x7f || (c == 0xc2 && next(1) < 0xa0)) return "has control characters";
    i += n;
  }
  return nullptr;
}

}  // namespace cutaway
