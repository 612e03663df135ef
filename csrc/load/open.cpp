#include "load/open.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>

#include "base/error.h"

namespace cutaway {
namespace {

int64_t mtime_ns(const struct stat& s) { return int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec; }

// Levenshtein's distance, letters compared without case.
size_t distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      bool same = std::tolower(static_cast<unsigned char>(a[i])) == std::tolower(static_cast<unsigned char>(b[j]));
      size_t substitute = diagonal + (same ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substitute, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

// The entry of `directory` most like `name`, or "" where none is near. Looks at a thousand entries at most.
std::string nearest_entry(const std::string& directory, const std::string& name) {
  std::string best;
  size_t best_distance = std::max<size_t>(3, name.size() / 2);
  DIR* entries = opendir(directory.c_str());
  if (!entries) return best;
  for (int seen = 0; seen < 1000; ++seen) {
    const dirent* entry = readdir(entries);
    if (!entry) break;
    std::string candidate = entry->d_name;
    if (candidate == "." || candidate == "..") continue;
    size_t d = distance(name, candidate);
    if (d < best_distance || (d == best_distance && candidate < best)) best = candidate, best_distance = d;
  }
  closedir(entries);
  return best;
}

[[noreturn]] void not_found(const std::string& path, int reason) {
  size_t slash = path.find_last_of('/');
  std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1);
  std::string message = printable(path, 400) + ": " + std::strerror(reason);
  std::string hint;
  Details details{{"path", path}};
  if (reason == ENOENT) {
    struct stat s;
    std::string near = nearest_entry(directory, name);
    if (stat(directory.c_str(), &s) != 0) {
      message += "; nor is there a directory " + printable(directory, 400);
    } else if (!near.empty()) {
      message += "; the nearest name in " + printable(directory, 400) + " is " + printable(near, 300);
      details.push_back({"nearest", (slash == std::string::npos ? "" : path.substr(0, slash + 1)) + near});
    }
    if (path.starts_with("~")) hint = "~ is not expanded: use os.path.expanduser(path)";
  }
  throw Error("ModelNotFoundError", message, hint, details);
}

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  if (S_ISSOCK(mode)) return "a socket";
  return "not a regular file";
}

[[noreturn]] void not_regular(const std::string& path, mode_t mode) {
  throw Error("ModelFormatError", printable(path, 400) + " is " + kind_of(mode) + ", expected a regular file",
              S_ISDIR(mode) ? "name the .gguf file inside it" : "copy it to a regular file first", {{"path", path}});
}

}  // namespace

File::Handle open_regular(const std::string& path) {
  if (path.find('\0') != std::string::npos) not_found(path, EINVAL);
  // O_NONBLOCK: a pipe without a writer would make open() wait for one.
  int fd;
  do fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  int reason = errno;
  struct stat s = {};
  if (fd < 0) {
    if (reason == EMFILE || reason == ENFILE || reason == ENOMEM)
      throw Error("AllocationFailed", printable(path, 400) + ": " + std::strerror(reason),
                  "close other files or raise the limit (ulimit -n)");
    if (stat(path.c_str(), &s) == 0 && !S_ISREG(s.st_mode)) not_regular(path, s.st_mode);
    not_found(path, reason);
  }
  File::Handle handle;
  if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) {
    close(fd);
    not_regular(path, s.st_mode);
  }
  return {.fd = fd, .size = static_cast<uint64_t>(s.st_size), .mtime_ns = mtime_ns(s), .inode = s.st_ino};
}

bool file_exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

void check_unchanged(const File::Handle& handle, const std::string& path) {
  struct stat s;
  if (fstat(handle.fd, &s) != 0) throw Error("FileChangedError", printable(path, 400) + ": " + std::strerror(errno));
  auto size = static_cast<uint64_t>(s.st_size);
  if (size < handle.size)
    throw Error("TruncatedFileError",
                printable(path, 400) + " was cut short while it was read: it had " + std::to_string(handle.size) +
                    " bytes, it now has " + std::to_string(size) + " (byte offset " + std::to_string(size) + ")",
                "another program wrote to it; load it again when that is done",
                {{"path", path}, {"expected", handle.size}, {"have", size}, {"offset", size}});
  if (size != handle.size || mtime_ns(s) != handle.mtime_ns || s.st_ino != handle.inode)
    throw Error("FileChangedError",
                printable(path, 400) + " changed while it was read: " + std::to_string(handle.size) +
                    " bytes when opened, " + std::to_string(size) + " now, or another time of change",
                "", {{"path", path}});
}

void read_at(const File::Handle& handle, const std::string& path, uint64_t offset, uint64_t bytes, void* out) {
  auto* to = static_cast<char*>(out);
  while (bytes) {
    // Linux transfers at most 2 GiB - 4 KiB in one call.
    ssize_t n = pread(handle.fd, to, std::min<uint64_t>(bytes, 1 << 30), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      throw Error(
          "FileChangedError",
          printable(path, 400) + ": reading at byte offset " + std::to_string(offset) + ": " + std::strerror(errno),
          "the disk or the network file system failed; try again", {{"path", path}, {"offset", offset}});
    if (n == 0)
      throw Error("TruncatedFileError",
                  printable(path, 400) + " ends at byte offset " + std::to_string(offset) + ", " +
                      std::to_string(bytes) + " bytes before what it promised when it was opened",
                  "another program wrote to it; load it again when that is done",
                  {{"path", path}, {"offset", offset}, {"missing", bytes}});
    to += n;
    offset += static_cast<uint64_t>(n);
    bytes -= static_cast<uint64_t>(n);
  }
}

std::string read_whole(const std::string& path, uint64_t most) {
  File file;  // closes the handle
  file.handles.push_back(open_regular(path));
  const uint64_t size = file.handles[0].size;
  if (size > most)
    throw Error(
        "LimitExceededError",
        printable(path, 400) + " has " + std::to_string(size) + " bytes, expected at most " + std::to_string(most), "",
        {{"path", path}, {"limit", std::string("file_bytes")}, {"value", size}});
  std::string bytes(size, '\0');
  read_at(file.handles[0], path, 0, size, bytes.data());
  return bytes;
}

LooksLike looks_like(const std::string& head) {
  auto starts = [&](const std::string& magic) { return head.starts_with(magic); };
  size_t text = head.find_first_not_of(" \t\r\n");
  std::string lower = text == std::string::npos ? "" : head.substr(text, 64);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));

  if (starts("version https://git-lfs")) {
    const size_t stated = head.find("\nsize ");
    return {"a Git LFS pointer, a few lines of text that stand for the model", "fetch the model itself: git lfs pull",
            stated == std::string::npos ? 0 : std::strtoull(head.c_str() + stated + 6, nullptr, 10)};
  }
  if (lower.starts_with("<!doctype") || lower.starts_with("<html") || lower.starts_with("<?xml") ||
      lower.starts_with("<head"))
    return {"an HTML page, perhaps an error or log-in page saved as the model",
            "open it in a text editor to see why, then download again"};
  if (starts("PK\x03\x04") || starts("PK\x05\x06"))
    return {"a ZIP archive, perhaps a PyTorch checkpoint: refused, it may hold pickles",
            "convert the model to GGUF, or unpack the archive"};
  if (head.size() > 1 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5)
    return {"a pickle: refused, loading one runs code from it",
            "convert the model to GGUF or safetensors where you trust it"};
  for (const char* old : {"ggml", "ggmf", "ggjt", "ggla"}) {
    std::string magic = old;
    if (lower.starts_with(magic) || lower.starts_with(std::string(magic.rbegin(), magic.rend()))) {
      for (char& c : magic) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      return {"a " + magic + " file, which GGUF replaced in August 2023",
              "convert it with a llama.cpp of that time, or get the model as GGUF"};
    }
  }
  if (starts("\x7f"
             "ELF"))
    return {"an ELF program", "name the model file instead"};
  if (starts("\x1f\x8b") || starts("\x28\xb5\x2f\xfd") ||
      starts("\xfd"
             "7zXZ") ||
      starts("BZh") || starts("7z\xbc\xaf"))
    return {"a compressed archive (gzip, zstd, xz, bzip2 or 7z)", "decompress it first"};
  if (head.size() >= 262 && head.compare(257, 5, "ustar") == 0) return {"a tar archive", "unpack it first"};
  if (starts("\x89HDF")) return {"an HDF5 file, perhaps a Keras model", "convert the model to GGUF"};
  if (head.size() > 9 && head[8] == '{' && head.compare(4, 4, std::string(4, '\0')) == 0)
    return {"a safetensors file", "pass the folder that holds it and its config.json"};
  if (lower.starts_with("{") || lower.starts_with("[")) return {"JSON text", "name the model file instead"};
  if (!head.empty() && head.find_first_not_of('\0') == std::string::npos)
    return {"zeros only: space set aside for a download that did not happen", "download it again"};
  bool is_text = !head.empty() && std::all_of(head.begin(), head.end(), [](char c) {
    auto u = static_cast<unsigned char>(c);
    return u >= 0x20 ? u != 0x7f : (u == '\t' || u == '\r' || u == '\n');
  });
  if (is_text) return {"plain text", "open it in a text editor to see what it says"};
  return {"", "check that it is the model and not another file of the same name"};
}

}  // namespace cutaway
