// File: what a model file holds, validated and immutable. Everything left of it is untrusted bytes behind a cursor;
// everything right of it may rely on: names unique, sizes computed without wrapping, every tensor inside its file.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/tensor.h"

namespace cutaway {

// A metadata value with the type the file declared. Integers keep their width's value in 64 bits.
struct Value {
  using Array = std::variant<std::vector<int64_t>, std::vector<uint64_t>, std::vector<double>, std::vector<bool>,
                             std::vector<std::string>>;
  std::variant<int64_t, uint64_t, double, bool, std::string, Array> it;
  uint32_t type = 0;          // GGUF value type id of the value, or of the array's elements
  bool is_array = false;
};

struct TensorInfo {
  std::string name;
  const Format* format;
  Shape shape;      // row-major, slowest axis first: the reverse of GGUF's ne
  uint64_t offset;  // bytes from the start of its file
  uint64_t bytes;
  int part;         // index into File::parts
};

class File {
 public:
  std::vector<std::string> parts;  // paths, more than one for a split model
  std::string kind;                // "gguf v3"
  uint64_t bytes = 0;              // all parts together
  std::map<std::string, Value> metadata;
  std::vector<std::string> keys;   // metadata keys in file order
  std::vector<TensorInfo> tensors; // in file order
  std::vector<std::string> warnings;

  const TensorInfo* find(const std::string& tensor) const;  // null: not there

  // Typed access; `get_*` return the fallback when the key is absent and raise ConfigError when its type is wrong.
  const Value* value(const std::string& key) const;
  int64_t get_int(const std::string& key, int64_t fallback) const;  // any integer type that holds it
  double get_float(const std::string& key, double fallback) const;
  bool get_bool(const std::string& key, bool fallback) const;
  std::string get_string(const std::string& key, const std::string& fallback) const;
  const std::vector<std::string>* get_strings(const std::string& key) const;  // null: absent
  std::vector<double> get_floats(const std::string& key) const;               // empty: absent
  std::vector<int64_t> get_ints(const std::string& key) const;                // empty: absent

  // Reads [from, from + bytes) of the tensor's stored bytes with pread; safe from several threads. Raises
  // TruncatedFileError or FileChangedError when the file is no longer what was validated.
  void read(const TensorInfo& tensor, uint64_t from, uint64_t bytes, void* out) const;

  ~File();
  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  struct Handle {
    int fd = -1;
    uint64_t size = 0;
    int64_t mtime_ns = 0;
    uint64_t inode = 0;
  };
  std::vector<Handle> handles;  // one per part, open while the File lives
};

// Caps on what a file may claim (reliability: validation comes before allocation). An argument raises them, no file can.
struct Limits {
  uint64_t header_bytes = uint64_t{1} << 30;
  uint64_t metadata_keys = 65536;
  uint64_t tensors = 1048576;
  uint64_t key_bytes = 65535;
  uint64_t name_bytes = 64;
  uint64_t string_bytes = uint64_t{64} << 20;
  uint64_t array_elements = 16777216;
  uint64_t elements = uint64_t{1} << 48;
};

// Opens a GGUF file or the first part of a split one, and validates its header. Reads no tensor data.
std::shared_ptr<const File> open_gguf(const std::string& path, const Limits& limits = {});

}  // namespace cutaway
