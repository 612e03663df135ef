// One safetensors file (huggingface.co/docs/safetensors):
//
//   u64 N | N bytes of JSON: {"name": {"dtype": "BF16", "shape": [3, 4], "data_offsets": [begin, end]}, ...} | data
//
// Offsets count from the end of the JSON. The tensors tile the data: no hole, no overlap, nothing behind the last.
#include "load/safetensors.h"

#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "base/json.h"
#include "load/open.h"

namespace cutaway {
namespace {

constexpr uint64_t most_header_bytes = 100'000'000;  // the format's own rule
constexpr uint64_t most_name_bytes = 1024;
constexpr size_t most_axes = 8;

struct Dtype {
  const char* name;
  uint64_t bits;
};
constexpr Dtype dtypes[] = {{"F32", 32},        {"F16", 16},       {"BF16", 16},   {"U8", 8},      {"F64", 64},
                            {"I64", 64},        {"I32", 32},       {"I16", 16},    {"I8", 8},      {"U64", 64},
                            {"U32", 32},        {"U16", 16},       {"BOOL", 8},    {"C64", 64},    {"F8_E4M3", 8},
                            {"F8_E5M2", 8},     {"F8_E8M0", 8},    {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4},
                            {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}};

std::string number(uint64_t n) { return std::to_string(n); }

struct Header {
  std::string path;
  uint64_t data;  // where the data begins

  [[noreturn]] void fail(const char* kind, uint64_t at, const std::string& message, std::string hint = "",
                         Details details = {}) const {
    details.push_back({"path", path});
    details.push_back({"offset", at});
    throw Error(kind, printable(path, 400) + ": " + message + " (byte offset " + number(at) + ")", hint, details);
  }
  [[noreturn]] void fail(const Json& json, const std::string& message) const {
    fail("SafetensorsError", json.at, message);
  }

  // An integer of at least 0. "1.0", "1e3" and "-0" are none: the parser gives them as doubles.
  uint64_t count(const Json& json, const std::string& tensor, const char* what) const {
    const std::optional<int64_t> n = std::holds_alternative<int64_t>(json.it) ? json.integer() : std::nullopt;
    if (!n || *n < 0)
      fail(json, "tensor " + tensor + ": " + what + " is " + (n ? std::to_string(*n) : json.type_name()) +
                     ", expected an integer from 0 to 2^63 - 1");
    return static_cast<uint64_t>(*n);
  }
};

// What stands where a length and "{" should: another kind of file, or a damaged one.
[[noreturn]] void refuse_start(const Header& header, const std::string& head, uint64_t length, uint64_t size) {
  const LooksLike it = looks_like(head);
  Details details;
  if (!it.what.empty() && it.what != "a safetensors file") {
    details.push_back({"looks_like", it.what});
    if (!it.stands_for) header.fail("SafetensorsError", 0, "this looks like " + it.what, it.hint, details);
    details.insert(details.end(), {{"expected", it.stands_for}, {"have", size}});
    header.fail("TruncatedFileError", 0,
                "this is " + it.what + ": expected " + number(it.stands_for) + " bytes, have " + number(size), it.hint,
                details);
  }
  if (length > most_header_bytes)
    header.fail("SafetensorsError", 0,
                "a header of " + number(length) + " bytes, the format allows " + number(most_header_bytes));
  if (length < 2 || length > size - 8)
    header.fail("SafetensorsError", 0,
                "a header of " + number(length) + " bytes, but " + number(size - 8) + " follow its length");
  header.fail("SafetensorsError", 8, "the header begins with \"" + printable(head.substr(8, 1)) + "\", expected \"{\"");
}

StoredTensor read_entry(const Header& header, const JsonMember& member, const Limits& limits) {
  const std::string name = printable(member.key);
  StoredTensor t{.name = member.key, .dtype = "", .shape = {}, .offset = 0, .bytes = 0, .part = 0};
  if (member.key.empty() || member.key.size() > most_name_bytes)
    header.fail(member.value,
                "a tensor name of " + number(member.key.size()) + " bytes, expected 1 to " + number(most_name_bytes));
  if (!member.value.object()) header.fail(member.value, "tensor " + name + " is no object");
  for (const JsonMember& inner : *member.value.object())
    if (inner.key != "dtype" && inner.key != "shape" && inner.key != "data_offsets")
      header.fail(inner.value, "tensor " + name + " has \"" + printable(inner.key) +
                                   "\", expected dtype, shape and data_offsets only");
  const Json *dtype = member.value.find("dtype"), *shape = member.value.find("shape"),
             *offsets = member.value.find("data_offsets");
  if (!dtype || !dtype->string() || !shape || !shape->array() || !offsets || !offsets->array() ||
      offsets->array()->size() != 2)
    header.fail(member.value, "tensor " + name + " lacks a dtype, a shape or two data_offsets");
  t.dtype = *dtype->string();

  if (shape->array()->size() > most_axes)
    header.fail("LimitExceededError", shape->at,
                "tensor " + name + " has " + number(shape->array()->size()) + " axes, the cap is " + number(most_axes),
                "the file is damaged", {{"limit", std::string("rank")}, {"value", shape->array()->size()}});
  uint64_t elements = 1;  // an axis of zero hides nothing: the others must still fit
  bool empty = false, fits = true;
  for (const Json& axis : *shape->array()) {
    const uint64_t n = header.count(axis, name, "an axis of its shape");
    t.shape.push_back(static_cast<int64_t>(n));
    empty |= n == 0;
    fits = fits && checked::mul(elements, std::max<uint64_t>(n, 1), &elements);
  }
  const auto* type =
      std::find_if(std::begin(dtypes), std::end(dtypes), [&](const Dtype& d) { return d.name == t.dtype; });
  if (type == std::end(dtypes))
    header.fail("UnsupportedModelError", dtype->at,
                "tensor " + name + " has the dtype \"" + printable(t.dtype) +
                    "\"; supported are F32, F16 and BF16, and U8 "
                    "for mxfp4 blocks",
                "", {{"tensor", t.name}, {"dtype", t.dtype}});
  uint64_t bits = 0;
  if (!fits || elements > limits.elements || !checked::mul(elements, type->bits, &bits))
    header.fail(*shape,
                "size overflow: tensor " + name + " has more elements than the cap, " + number(limits.elements));
  if (empty) bits = 0;
  const uint64_t begin = header.count((*offsets->array())[0], name, "its begin"),
                 end = header.count((*offsets->array())[1], name, "its end");
  if (begin > end || bits % 8 || end - begin != bits / 8)
    header.fail(*offsets, "tensor " + name + " lies at " + number(begin) + " to " + number(end) +
                              ", but its shape and " + t.dtype + " take " + number(bits) + " bits");
  t.offset = begin;
  t.bytes = end - begin;
  return t;
}

// Offsets from the end of the header become offsets in the file.
void place(const Header& header, uint64_t size, std::vector<StoredTensor>& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.bytes < b.bytes;
  });
  uint64_t at = 0;  // behind the last tensor; begin <= end < 2^63, so that nothing here wraps
  for (StoredTensor& t : tensors) {
    if (t.offset != at)
      header.fail("SafetensorsError", 8,
                  "tensor " + printable(t.name) + " begins at byte " + number(t.offset) + " of the data, expected " +
                      number(at) + ": " + (t.offset < at ? "it overlaps the one before" : "there is a hole before it"),
                  "", {{"tensor", t.name}});
    at += t.bytes;
    t.offset += header.data;
  }
  const uint64_t have = size - header.data;
  if (at > have)
    header.fail("TruncatedFileError", size,
                "expected " + number(header.data + at) + " bytes in the file, have " + number(size) + ": " +
                    number(at - have) + " are missing",
                "", {{"expected", header.data + at}, {"have", size}, {"missing", at - have}});
  if (at < have) header.fail("SafetensorsError", header.data + at, number(have - at) + " bytes follow the last tensor");
}

std::vector<StoredTensor> read_file(const std::string& path, const Limits& limits, File& file) {
  file.handles.push_back(open_regular(path));
  file.parts.push_back(path);
  const File::Handle& handle = file.handles.back();
  Header header{path, 0};
  std::string head(std::min<uint64_t>(handle.size, 512), '\0');
  read_at(handle, path, 0, head.size(), head.data());
  if (head.size() < 8)
    header.fail("SafetensorsError", head.size(), "the file has " + number(head.size()) + " bytes, expected a header");
  uint64_t length = 0;
  for (int i = 8; i-- > 0;) length = length << 8 | static_cast<uint8_t>(head[static_cast<size_t>(i)]);
  if (length < 2 || length > most_header_bytes || length > handle.size - 8 || head[8] != '{')
    refuse_start(header, head, length, handle.size);
  if (length > limits.header_bytes)
    header.fail("LimitExceededError", 0,
                "a header of " + number(length) + " bytes, the cap is " + number(limits.header_bytes), "",
                {{"limit", std::string("header_bytes")}, {"value", length}});
  header.data = 8 + length;

  std::string text(header.data, ' ');  // blanks for the length, so that offsets in messages are the file's
  read_at(handle, path, 8, length, text.data() + 8);
  Json root;
  try {
    root = parse_json(text, path, "SafetensorsError", {.bytes = text.size(), .depth = 3, .values = 16777216});
  } catch (Error& error) {
    if (error.kind == "LimitExceededError") error.kind = "SafetensorsError";  // no valid header passes these caps
    throw;
  }
  std::vector<StoredTensor> tensors;
  for (const JsonMember& member : *root.object()) {
    if (member.key == "__metadata__") {
      if (!member.value.object()) header.fail(member.value, "__metadata__ is no object");
      for (const JsonMember& entry : *member.value.object())
        if (!entry.value.string()) header.fail(entry.value, "__metadata__ has a value that is no string");
      continue;
    }
    if (tensors.size() == limits.tensors)
      header.fail("LimitExceededError", member.value.at, "more tensors than the cap, " + number(limits.tensors), "",
                  {{"limit", std::string("tensors")}, {"value", limits.tensors}});
    tensors.push_back(read_entry(header, member, limits));
    tensors.back().part = static_cast<int>(file.parts.size()) - 1;
  }
  place(header, handle.size, tensors);
  check_unchanged(handle, path);
  file.bytes += handle.size;
  file.header_bytes += header.data;
  return tensors;
}

// weight_map of an index: which shard has which tensor, shards by name.
std::map<std::string, std::string> read_index(const std::string& path, const Limits& limits) {
  const Header header{path, 0};
  const Json root = parse_json(read_whole(path, most_header_bytes), path, "SafetensorsError");
  const Json* map = root.find("weight_map");
  if (!map || !map->object() || map->object()->empty())
    header.fail(map ? *map : root, "weight_map is " + std::string(map ? map->type_name() : "absent") +
                                       ", expected an object of tensor names and file names");
  if (map->object()->size() > limits.tensors)
    header.fail("LimitExceededError", map->at, "more tensors than the cap, " + number(limits.tensors), "",
                {{"limit", std::string("tensors")}, {"value", map->object()->size()}});
  std::map<std::string, std::string> shard_of;
  for (const JsonMember& member : *map->object()) {
    const std::string* shard = member.value.string();
    // A name with a folder in it could leave the model's own.
    if (!shard || shard->find_first_of(std::string_view("/\\:\0", 4)) != std::string::npos || shard->starts_with(".") ||
        !shard->ends_with(".safetensors"))
      header.fail(member.value, "tensor " + printable(member.key) + " lies in " +
                                    (shard ? "\"" + printable(*shard) + "\"" : member.value.type_name()) +
                                    ", expected the plain name of a .safetensors file in this folder");
    shard_of[member.key] = *shard;
  }
  return shard_of;
}

[[noreturn]] void no_weights(const std::string& folder) {
  const auto has = [&](const char* name) { return file_exists(folder + "/" + name); };
  for (const char* old : {"pytorch_model.bin", "pytorch_model.bin.index.json"})
    if (has(old))
      throw Error(
          "UnsupportedModelError",
          printable(folder, 400) + " has its weights in " + old +
              " only, a pickle: refused, loading one runs code from it; supported is model.safetensors",
          "convert it to safetensors where you trust it: model.save_pretrained(folder, safe_serialization=True)",
          {{"path", folder}});
  for (const char* other :
       {"consolidated.00.pth", "consolidated.safetensors", "tf_model.h5", "flax_model.msgpack", "model.onnx"})
    if (has(other))
      throw Error("UnsupportedModelError",
                  printable(folder, 400) + " has its weights in " + other + " only; supported is model.safetensors",
                  "download the model in transformers' form, or convert it", {{"path", folder}});
  throw Error("ModelNotFoundError",
              printable(folder, 400) + " has neither model.safetensors nor model.safetensors.index.json",
              "download the weights into the same folder", {{"path", folder}});
}

}  // namespace

std::vector<StoredTensor> read_safetensors(const std::string& folder, const Limits& limits, File& file) {
  const std::string single = folder + "/model.safetensors", index = folder + "/model.safetensors.index.json";
  if (file_exists(single)) return read_file(single, limits, file);
  if (!file_exists(index)) no_weights(folder);
  const std::map<std::string, std::string> shard_of = read_index(index, limits);
  std::vector<std::string> shards;
  std::string missing;
  for (const auto& [tensor, shard] : shard_of) shards.push_back(shard);
  std::sort(shards.begin(), shards.end());
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
  if (shards.size() > limits.parts)
    throw Error("LimitExceededError",
                printable(index, 400) + ": " + number(shards.size()) + " shards, the cap is " + number(limits.parts),
                "", {{"path", index}, {"limit", std::string("parts")}, {"value", shards.size()}});
  for (const std::string& shard : shards)
    if (!file_exists(folder + "/" + shard)) missing += (missing.empty() ? "" : ", ") + printable(shard);
  if (!missing.empty())
    throw Error("ModelNotFoundError",
                printable(index, 400) + " names " + number(shards.size()) +
                    " shards, of which these are missing: " + printable(missing, 400),
                "fetch the missing shards into the same folder", {{"path", index}, {"parts", shards.size()}});

  std::vector<StoredTensor> tensors;
  std::map<std::string, std::string> found;  // tensor -> shard
  for (const std::string& shard : shards)
    for (StoredTensor& t : read_file(folder + "/" + shard, limits, file)) {
      const auto [other, is_new] = found.emplace(t.name, shard);
      if (!is_new)
        throw Error("SafetensorsError",
                    printable(index, 400) + ": tensor " + printable(t.name) + " is in two shards, " +
                        printable(other->second) + " and " + printable(shard),
                    "the shards are of different models; fetch them again", {{"path", index}, {"tensor", t.name}});
      tensors.push_back(std::move(t));
    }
  for (const auto& [tensor, shard] : shard_of)
    if (const auto it = found.find(tensor); it == found.end() || it->second != shard)
      throw Error("SafetensorsError",
                  printable(index, 400) + ": tensor " + printable(tensor) + " is not in " + printable(shard) +
                      ", where the index has it",
                  "the shards are of different models; fetch them again", {{"path", index}, {"tensor", tensor}});
  return tensors;
}

}  // namespace cutaway
