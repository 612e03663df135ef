// Opening untrusted paths: regular files only, never blocking, and errors that name what is there instead.
#pragma once

#include <string>

#include "load/file.h"

namespace cutaway {

// Opens a regular file for reading. Raises ModelNotFoundError naming the directory's nearest match, or ModelFormatError
// for what is there but is no file (directory, pipe, device, socket).
File::Handle open_regular(const std::string& path);

// Whether there is something under this name, links followed.
bool file_exists(const std::string& path);

// Raises TruncatedFileError or FileChangedError unless the open file is still the one that was opened.
void check_unchanged(const File::Handle& handle, const std::string& path);

// Exactly `bytes` bytes at `offset`, or TruncatedFileError.
void read_at(const File::Handle& handle, const std::string& path, uint64_t offset, uint64_t bytes, void* out);

// All of a regular file; more than `most` bytes raise LimitExceededError.
std::string read_whole(const std::string& path, uint64_t most);

// What the first bytes of a file that is not GGUF look like ("an HTML page: ..."), with the hint that goes with it.
struct LooksLike {
  std::string what, hint;
  uint64_t stands_for = 0;  // bytes of the file that a Git LFS pointer stands for
};
LooksLike looks_like(const std::string& head);

}  // namespace cutaway
