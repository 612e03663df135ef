// JSON from untrusted files, by RFC 8259 and stricter: no byte order mark, no repeated keys, no half surrogate pairs,
// no number that float64 cannot hold. Memory is linear in the text, time O(n log n), the stack bounded by the depth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace cutaway {

struct JsonMember;

struct Json {
  using Array = std::vector<Json>;
  using Object = std::vector<JsonMember>;  // in the text's order, each key once

  // A number without fraction and exponent that int64 holds is an int64_t, every other (1.0, 1e3, -0, 2^64) a double.
  std::variant<std::nullptr_t, bool, int64_t, double, std::string, Array, Object> it = nullptr;
  size_t at = 0;  // byte offset in the text

  // Null or nullopt when the value is of another type.
  const std::string* string() const { return std::get_if<std::string>(&it); }
  const Array* array() const { return std::get_if<Array>(&it); }
  const Object* object() const { return std::get_if<Object>(&it); }
  std::optional<int64_t> integer() const;
  std::optional<double> number() const;  // an integer too
  std::optional<bool> boolean() const;
  bool is_null() const { return it.index() == 0; }

  const Json* find(std::string_view key) const;  // of an object; null: not there, or no object. Linear in its members
  const char* type_name() const;                 // "null", "a boolean", "an integer", ..., for messages
};

struct JsonMember {
  std::string key;
  Json value;
};

// Caps on what a text may claim. An argument raises them, no file can.
struct JsonLimits {
  size_t bytes = size_t{1} << 28;
  size_t depth = 64;
  size_t values = 16777216;
};

// `who` is the path, for messages; every refusal is an Error of class `kind` with the byte offset, LimitExceededError
// where a cap is passed.
Json parse_json(std::string_view text, const std::string& who, const char* kind, const JsonLimits& limits = {});

}  // namespace cutaway
