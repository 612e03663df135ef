// write_gguf: File's other direction, GGUF v3. The file is complete or it is not there: everything goes to a temporary
// in the same directory, which is read back by our own reader, synced, and renamed over the old one.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <set>

#include "base/checked.h"
#include "base/error.h"
#include "load/gguf.h"

namespace cutaway {
namespace {

using namespace gguf;

[[noreturn]] void refuse(const std::string& message) { throw Error("ArgumentError", "write_gguf: " + message); }

[[noreturn]] void disk_said_no(const std::string& path, const char* step) {
  int reason = errno;
  throw Error("SaveError", printable(path, 400) + ": " + step + ": " + std::strerror(reason), "",
              {{"path", path}, {"errno", int64_t{reason}}});
}

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_string(std::string& out, const std::string& text) {
  put(out, uint64_t{text.size()});
  out += text;
}

template <typename From>
void put_as(std::string& out, uint32_t type, From value) {
  switch (type) {
    case u8:
      return put(out, static_cast<uint8_t>(value));
    case i8:
      return put(out, static_cast<int8_t>(value));
    case u16:
      return put(out, static_cast<uint16_t>(value));
    case i16:
      return put(out, static_cast<int16_t>(value));
    case u32:
      return put(out, static_cast<uint32_t>(value));
    case i32:
      return put(out, static_cast<int32_t>(value));
    case f32:
      return put(out, static_cast<float>(value));
    case boolean:
      return put(out, static_cast<uint8_t>(value != From{}));
    case u64:
      return put(out, static_cast<uint64_t>(value));
    case i64:
      return put(out, static_cast<int64_t>(value));
    default:
      return put(out, static_cast<double>(value));
  }
}

void put_value(std::string& out, const Value& v) {
  if (!v.is_array) {
    put(out, v.type);
    std::visit(
        [&](const auto& it) {
          using T = std::decay_t<decltype(it)>;
          if constexpr (std::is_same_v<T, std::string>) put_string(out, it);
          else if constexpr (std::is_arithmetic_v<T>) put_as(out, v.type, it);
        },
        v.it);
    return;
  }
  put(out, uint32_t{array});
  put(out, v.type);
  put(out, uint64_t{v.size()});
  std::visit(
      [&](const auto& elements) {
        using T = typename std::decay_t<decltype(elements)>::value_type;
        for (size_t i = 0; i < elements.size(); ++i) {
          if constexpr (std::is_same_v<T, std::string>) put_string(out, elements[i]);
          else put_as(out, v.type, static_cast<T>(elements[i]));
        }
      },
      std::get<Value::Array>(v.it));
}

uint64_t alignment_of(const std::vector<std::pair<std::string, Value>>& metadata) {
  for (const auto& [key, value] : metadata)
    if (key == "general.alignment") {
      const auto* n = std::get_if<uint64_t>(&value.it);
      if (!n || value.type != u32 || *n == 0 || (*n & (*n - 1)) || *n > 65536)
        refuse("general.alignment must be a u32 and a power of two from 1 to 65536");
      return *n;
    }
  return 32;
}

void check_tensor(const TensorData& t, std::set<std::string>& names) {
  if (const char* fault = name_fault(t.name)) refuse("tensor name \"" + printable(t.name) + "\" " + fault);
  if (t.name.size() > Limits{}.name_bytes) refuse("tensor name " + t.name + " is longer than 64 bytes");
  if (!names.insert(t.name).second) refuse("tensor " + t.name + " appears twice");
  if (t.shape.rank < 1 || t.shape.rank > 4)
    refuse("tensor " + t.name + " has rank " + std::to_string(t.shape.rank) + ", expected 1 to 4");
  Block block = block_of(t.type);
  if (!block.elements)
    refuse("tensor " + t.name + " has type " + std::to_string(t.type) + ", whose size we do not know");
  uint64_t n = 1, bytes = 0;
  for (int i = 0; i < t.shape.rank; ++i)
    if (t.shape[i] < 0 || !checked::mul(n, static_cast<uint64_t>(t.shape[i]), &n))
      refuse("tensor " + t.name + " has shape " + t.shape.str());
  if (static_cast<uint64_t>(t.shape.last()) % block.elements)
    refuse("tensor " + t.name + " has rows of " + std::to_string(t.shape.last()) +
           " elements, expected a multiple of " + std::to_string(block.elements));
  if (!checked::mul(n / block.elements, block.bytes, &bytes) || bytes != t.bytes)
    refuse("tensor " + t.name + " " + t.shape.str() + " takes " + std::to_string(bytes) + " bytes, got " +
           std::to_string(t.bytes));
}

std::string header(const std::vector<std::pair<std::string, Value>>& metadata, const std::vector<TensorData>& tensors,
                   uint64_t alignment) {
  std::string out = "GGUF";
  put(out, uint32_t{3});
  put(out, uint64_t{tensors.size()});
  put(out, uint64_t{metadata.size()});
  std::set<std::string> names;
  for (const auto& [key, value] : metadata) {
    if (const char* fault = key_fault(key)) refuse("key \"" + printable(key) + "\" " + fault);
    if (key.size() > Limits{}.key_bytes) refuse("key " + printable(key) + " is longer than 65535 bytes");
    if (!names.insert(key).second) refuse("key " + key + " appears twice");
    put_string(out, key);
    put_value(out, value);
  }
  names.clear();
  uint64_t offset = 0;
  for (const TensorData& t : tensors) {
    check_tensor(t, names);
    put_string(out, t.name);
    put(out, static_cast<uint32_t>(t.shape.rank));
    for (int i = t.shape.rank; i-- > 0;) put(out, static_cast<uint64_t>(t.shape[i]));
    put(out, t.type);
    put(out, offset);
    if (!checked::add(offset, t.bytes, &offset) || !checked::align_up(offset, alignment, &offset))
      refuse("the tensors do not fit 64 bits");
  }
  return out;
}

// A file beside `target` that vanishes unless it is renamed to it. Its lock tells a live one from what a killed process
// left.
struct Temporary {
  std::string directory, target, path;
  int fd = -1;

  explicit Temporary(const std::string& wanted) : target(wanted) {
    char real[PATH_MAX];  // a link stays a link: its file is what is replaced
    if (realpath(wanted.c_str(), real)) target = real;
    size_t slash = target.find_last_of('/');
    directory = slash == std::string::npos ? "." : slash == 0 ? "/" : target.substr(0, slash);
    std::string stem = "." + target.substr(slash == std::string::npos ? 0 : slash + 1).substr(0, 200) + ".tmp-";
    struct stat s;
    bool replaces = stat(target.c_str(), &s) == 0;
    if (replaces && !S_ISREG(s.st_mode)) {
      errno = S_ISDIR(s.st_mode) ? EISDIR : EINVAL;
      disk_said_no(wanted, "it is not a regular file");
    }
    remove_stale(stem);
    static std::atomic<int> counter{0};
    path = directory + "/" + stem + std::to_string(getpid()) + "-" + std::to_string(counter++);
    fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) disk_said_no(path, "making a temporary file");
    flock(fd, LOCK_EX | LOCK_NB);
    if (replaces && fchmod(fd, s.st_mode & 07777) != 0) errno = 0;  // the data matters more than the mode
  }

  ~Temporary() {
    if (fd < 0) return;
    unlink(path.c_str());
    close(fd);
  }

  void remove_stale(const std::string& stem) const {
    DIR* entries = opendir(directory.c_str());
    if (!entries) return;
    while (const dirent* entry = readdir(entries)) {
      if (!std::string_view(entry->d_name).starts_with(stem)) continue;
      std::string stale = directory + "/" + entry->d_name;
      int old = open(stale.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
      if (old < 0) continue;
      struct stat s;
      bool is_old = fstat(old, &s) == 0 && S_ISREG(s.st_mode) && time(nullptr) - s.st_mtime > 60;
      if (is_old && flock(old, LOCK_EX | LOCK_NB) == 0) unlink(stale.c_str());
      close(old);
    }
    closedir(entries);
  }

  void write(const void* data, uint64_t bytes) {
    const auto* from = static_cast<const char*>(data);
    while (bytes) {
      ssize_t n = ::write(fd, from, std::min<uint64_t>(bytes, 1 << 30));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) disk_said_no(path, "writing");
      from += n;
      bytes -= static_cast<uint64_t>(n);
    }
  }

  void pad(uint64_t written, uint64_t alignment) {
    static const std::string zeros(65536, '\0');
    write(zeros.data(), (alignment - written % alignment) % alignment);
  }

  void commit() {
    if (fsync(fd) != 0) disk_said_no(path, "syncing");
    if (rename(path.c_str(), target.c_str()) != 0) disk_said_no(target, "renaming the finished file");
    close(fd);
    fd = -1;
    int folder = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return;
    fsync(
        folder);  // the file is complete under its name; a file system that cannot sync folders changes nothing in that
    close(folder);
  }
};

}  // namespace

void write_gguf(const std::string& path, const std::vector<std::pair<std::string, Value>>& metadata,
                const std::vector<TensorData>& tensors) {
  if (path.find('\0') != std::string::npos) refuse("the path has a NUL in it");
  uint64_t alignment = alignment_of(metadata);
  std::string head = header(metadata, tensors, alignment);
  Temporary file(path);
  file.write(head.data(), head.size());
  if (!tensors.empty()) file.pad(head.size(), alignment);
  for (const TensorData& t : tensors) {
    file.write(t.data, t.bytes);
    file.pad(t.bytes, alignment);
  }
  read_part(file.path, {});
  file.commit();
}

}  // namespace cutaway
