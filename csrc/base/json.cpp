#include "base/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/utf8.h"

namespace cutaway {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const std::string& who, const char* kind, const JsonLimits& limits)
      : text_(text), who_(who), kind_(kind), limits_(limits) {}

  Json parse() {
    if (text_.size() > limits_.bytes) over("bytes", text_.size(), limits_.bytes, 0);
    if (const size_t at = find_invalid_utf8(text_); at != std::string_view::npos) fail(at, "not valid UTF-8");
    Json root;
    value(root, 0);
    if (peek() != end) fail(at_, "expected the end of the text after the first value");
    return root;
  }

 private:
  static constexpr int end = -1;

  [[noreturn]] void refuse(const char* kind, size_t at, const std::string& why, Details details) const {
    details.emplace_back("path", who_);
    details.emplace_back("offset", static_cast<uint64_t>(at));
    throw Error(kind, printable(who_, 400) + ": JSON: " + why + " (byte offset " + std::to_string(at) + ")", "",
                details);
  }
  [[noreturn]] void fail(size_t at, const std::string& why) const {
    const bool ended = at >= text_.size();
    refuse(kind_, at, why + (ended ? ", but the text ends" : ""), {});
  }
  [[noreturn]] void over(const char* what, size_t is, size_t cap, size_t at) const {
    refuse("LimitExceededError", at, std::to_string(is) + " " + what + ", expected at most " + std::to_string(cap),
           {{"limit", std::string("json_") + what}, {"value", static_cast<uint64_t>(is)}});
  }

  // The next byte that is no white space, without taking it; or `end`.
  int peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
    return at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : end;
  }
  bool take(char wanted) {
    if (peek() != static_cast<unsigned char>(wanted)) return false;
    ++at_;
    return true;
  }

  void value(Json& out, size_t depth) {
    const int first = peek();
    out.at = at_;
    if (++values_ > limits_.values) over("values", values_, limits_.values, at_);
    if (first == '{' || first == '[') {
      if (depth == limits_.depth) over("depth", depth + 1, limits_.depth, at_);
      ++at_;
      if (first == '{') object(out.it.emplace<Json::Object>(), depth + 1);
      else array(out.it.emplace<Json::Array>(), depth + 1);
    } else if (first == '"') {
      string(out.it.emplace<std::string>());
    } else if (first == '-' || (first >= '0' && first <= '9')) {
      number(out);
    } else if (word("true")) {
      out.it = true;
    } else if (word("false")) {
      out.it = false;
    } else if (!word("null")) {
      fail(at_, "expected a value");
    }
  }

  bool word(std::string_view wanted) {
    if (text_.substr(at_, wanted.size()) != wanted) return false;
    at_ += wanted.size();
    return true;
  }

  void array(Json::Array& out, size_t depth) {
    if (take(']')) return;
    do value(out.emplace_back(), depth);
    while (take(','));
    if (!take(']')) fail(at_, "expected , or ] in an array");
    out.shrink_to_fit();
  }

  void object(Json::Object& out, size_t depth) {
    const size_t began = at_ - 1;
    if (take('}')) return;
    do {
      if (peek() != '"') fail(at_, "expected a key in \"\"");
      JsonMember& member = out.emplace_back();
      string(member.key);
      if (!take(':')) fail(at_, "expected : after a key");
      value(member.value, depth);
    } while (take(','));
    if (!take('}')) fail(at_, "expected , or } in an object");
    out.shrink_to_fit();
    refuse_repeats(out, began);
  }

  // By sorting, not by a hash: no text can choose its keys so that they collide.
  void refuse_repeats(const Json::Object& members, size_t began) const {
    std::vector<std::string_view> keys;
    keys.reserve(members.size());
    for (const JsonMember& member : members) keys.push_back(member.key);
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end())
      fail(began, "the object that begins here has the key \"" + printable(std::string(*twice)) + "\" twice");
  }

  unsigned hex4() {
    unsigned code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail(at_, "expected four hexadecimal digits after \\u");
      code = code * 16 + static_cast<unsigned>(digit);
    }
    return code;
  }

  void escape(std::string& out) {
    const size_t began = at_ - 1;
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    ++at_;
    switch (c) {
      case '"':
      case '\\':
      case '/':
        out += c;
        return;
      case 'b':
        out += '\b';
        return;
      case 'f':
        out += '\f';
        return;
      case 'n':
        out += '\n';
        return;
      case 'r':
        out += '\r';
        return;
      case 't':
        out += '\t';
        return;
      case 'u': {
        char32_t code = hex4();
        if (code >= 0xD800 && code < 0xDC00 && word("\\u")) {
          const unsigned low = hex4();
          if (low < 0xDC00 || low > 0xDFFF) fail(began, "half a surrogate pair");
          code = 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF);
        }
        if (code >= 0xD800 && code <= 0xDFFF) fail(began, "half a surrogate pair");
        append_utf8(code, out);
        return;
      }
      default:
        fail(began, "an escape that JSON does not have");
    }
  }

  void string(std::string& out) {
    ++at_;
    for (;;) {
      const size_t from = at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' && static_cast<uint8_t>(text_[at_]) >= 0x20)
        ++at_;
      out.append(text_, from, at_ - from);
      if (at_ == text_.size()) fail(at_, "expected \" at the end of a string");
      const char c = text_[at_];
      if (c != '"' && c != '\\') fail(at_, "a control character in a string, which must be escaped");
      ++at_;
      if (c == '"') return;
      escape(out);
    }
  }

  bool digits() {
    const size_t from = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ > from;
  }
  bool take_here(std::string_view any) {
    if (at_ >= text_.size() || any.find(text_[at_]) == std::string_view::npos) return false;
    ++at_;
    return true;
  }

  void number(Json& out) {
    const size_t from = at_;
    take_here("-");
    const size_t first = at_;
    if (!digits()) fail(at_, "expected a digit");
    if (text_[first] == '0' && at_ > first + 1) fail(first, "a number that begins with 0");
    bool whole = true;
    if (take_here(".")) {
      whole = false;
      if (!digits()) fail(at_, "expected a digit after the point");
    }
    if (take_here("eE")) {
      whole = false;
      take_here("+-");
      if (!digits()) fail(at_, "expected a digit in the exponent");
    }
    const char *begin = text_.data() + from, *stop = text_.data() + at_;
    int64_t integer = 0;
    if (whole && std::from_chars(begin, stop, integer).ec == std::errc() && (integer != 0 || *begin != '-')) {
      out.it = integer;
      return;
    }
    double real = 0;
    if (std::from_chars(begin, stop, real).ec != std::errc()) fail(from, "a number outside float64's range");
    out.it = real;
  }

  std::string_view text_;
  const std::string& who_;
  const char* kind_;
  const JsonLimits& limits_;
  size_t at_ = 0, values_ = 0;
};

}  // namespace

std::optional<int64_t> Json::integer() const {
  const auto* value = std::get_if<int64_t>(&it);
  return value ? std::optional(*value) : std::nullopt;
}

std::optional<double> Json::number() const {
  if (const auto* value = std::get_if<double>(&it)) return *value;
  if (const auto* value = std::get_if<int64_t>(&it)) return static_cast<double>(*value);
  return std::nullopt;
}

std::optional<bool> Json::boolean() const {
  const auto* value = std::get_if<bool>(&it);
  return value ? std::optional(*value) : std::nullopt;
}

const Json* Json::find(std::string_view key) const {
  if (const Object* members = object())
    for (const JsonMember& member : *members)
      if (member.key == key) return &member.value;
  return nullptr;
}

const char* Json::type_name() const {
  static const char* const names[] = {"null", "a boolean", "an integer", "a number", "a string", "a list", "an object"};
  return names[it.index()];
}

Json parse_json(std::string_view text, const std::string& who, const char* kind, const JsonLimits& limits) {
  return Parser(text, who, kind, limits).parse();
}

}  // namespace cutaway
