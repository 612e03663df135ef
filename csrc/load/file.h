// File: what a model file holds, validated and immutable. Everything left of it is untrusted bytes behind a cursor;
// everything right of it may rely on: names unique, sizes computed without wrapping, every tensor inside its file.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/tensor.h"

namespace cutaway {

// A metadata value with the type the file declared. Arrays keep the file's own width, so that a vocabulary of a quarter
// of a million scores costs what it costs on disk; File::get_* widen on the way out.
struct Value {
  using Array =
      std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>, std::vector<int16_t>,
                   std::vector<uint32_t>, std::vector<int32_t>, std::vector<float>, std::vector<bool>,
                   std::vector<std::string>, std::vector<uint64_t>, std::vector<int64_t>, std::vector<double>>;
  std::variant<int64_t, uint64_t, double, bool, std::string, Array> it;  // unsigned types are uint64_t, signed int64_t
  uint32_t type = 0;  // GGUF value type id of the value, or of the array's elements (load/gguf.h names them)
  bool is_array = false;
  uint64_t at = 0;  // byte offset of the value's key in the file, for messages

  size_t size() const;  // elements of an array, 1 otherwise
};

class File;

struct TensorInfo {
  std::string name;
  const Format* format;  // null: a type that we do not compute with (only in a File opened with header_only)
  Shape shape;           // row-major, slowest axis first: the reverse of GGUF's ne
  uint64_t offset;       // bytes from the start of its file
  uint64_t bytes;        // 0 where even the type's size is unknown to us
  int part;              // index into File::parts
  uint32_t type;         // ggml's type id, which `format` answers to
  uint64_t at;           // byte offset of the tensor's entry in the header, for messages

  // Writes bytes [from, from + bytes) of a tensor that does not lie in its part as `bytes` and `shape` say. Null: it
  // does, at `offset`.
  std::function<void(const File& file, uint64_t from, uint64_t bytes, void* out)> made;

  std::string type_name() const;  // "q4_1", "iq2_xxs"
};

class File {
 public:
  std::vector<std::string> parts;  // paths, more than one for a split model
  std::string folder;              // of a Hugging Face model; empty: it came from GGUF
  std::string kind;                // "gguf v3", "safetensors"
  uint64_t bytes = 0;              // all parts together
  uint64_t header_bytes = 0;       // before the tensor data, all parts together
  std::map<std::string, Value> metadata;
  std::vector<std::string> keys;    // metadata keys in file order
  std::vector<TensorInfo> tensors;  // in file order
  std::vector<std::string> warnings;

  const TensorInfo* find(const std::string& tensor) const;  // null: not there

  // Typed access; `get_*` return the fallback when the key is absent and raise ConfigError when its type is wrong.
  const Value* value(const std::string& key) const;
  int64_t get_int(const std::string& key, int64_t fallback) const;  // any integer type that holds it
  double get_float(const std::string& key, double fallback) const;  // f32, f64, or an integer
  bool get_bool(const std::string& key, bool fallback) const;
  std::string get_string(const std::string& key, const std::string& fallback) const;
  const std::vector<std::string>* get_strings(const std::string& key) const;  // null: absent
  std::vector<double> get_floats(const std::string& key) const;               // empty: absent; any array of numbers
  std::vector<int64_t> get_ints(const std::string& key) const;  // empty: absent; integers, or bools as 0 and 1

  // Reads [from, from + bytes) of the tensor's bytes with pread, or makes them; safe from several threads. Raises
  // TruncatedFileError or FileChangedError when the file is no longer what was validated.
  void read(const TensorInfo& tensor, uint64_t from, uint64_t bytes, void* out) const;

  // The same of any bytes of a part.
  void read_part(int part, uint64_t offset, uint64_t bytes, void* out) const;

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

  // Called by a reader when `tensors` is complete: what find() searches. Raises `error_kind` for a repeated name.
  void index_tensors(const char* error_kind);

 private:
  std::vector<uint32_t> by_name_;  // indices into tensors, sorted by name
};

// Caps on what a file may claim (reliability: validation comes before allocation). An argument raises them, no file
// can.
struct Limits {
  uint64_t header_bytes = uint64_t{1} << 30;
  uint64_t metadata_keys = 65536;
  uint64_t tensors = 1048576;
  uint64_t key_bytes = 65535;
  uint64_t name_bytes = 64;
  uint64_t string_bytes = uint64_t{64} << 20;
  uint64_t array_elements = 16777216;
  uint64_t elements = uint64_t{1} << 48;
  uint64_t parts = 4096;
};

// Opens a GGUF file or the first part of a split one, and validates its header. Reads no tensor data. Tensor types that
// we do not compute with raise UnsupportedModelError, unless `header_only`: then they are listed with a null format.
std::shared_ptr<const File> open_gguf(const std::string& path, const Limits& limits = {}, bool header_only = false);

// Opens a Hugging Face folder: config.json, and model.safetensors or its shards. The File is as its GGUF would be: the
// same keys, names and elements. Reads no tensor data.
std::shared_ptr<const File> open_hf(const std::string& folder, const Limits& limits = {});

// open_hf for a folder, open_gguf for anything else.
std::shared_ptr<const File> open_model(const std::string& path, const Limits& limits = {}, bool header_only = false);

// One tensor for write_gguf: `data` holds `bytes` stored bytes, rows one after the other.
struct TensorData {
  std::string name;
  uint32_t type;  // ggml's type id; we must have the format
  Shape shape;    // row-major
  const void* data;
  uint64_t bytes;
};

// Writes a GGUF v3 file that our reader accepts, atomically: into a temporary beside `path`, synced, then renamed over
// it. `general.alignment` in the metadata is obeyed. Raises ArgumentError for names, shapes or sizes that do not fit
// and SaveError when the disk says no; in both cases the old file stays as it was.
void write_gguf(const std::string& path, const std::vector<std::pair<std::string, Value>>& metadata,
                const std::vector<TensorData>& tensors);

}  // namespace cutaway
