// open_gguf: a file, or the parts NAME-00001-of-00003.gguf ... of a split model joined into one File. The metadata is
// that of the first part; the others say split.no, split.count and split.tensors.count again, and must agree.
#include <unistd.h>

#include <cstdio>

#include "base/error.h"
#include "load/gguf.h"

namespace cutaway {
namespace {

std::string part_path(const std::string& stem, int64_t no, int64_t count) {
  char tail[64];
  std::snprintf(tail, sizeof tail, "-%05d-of-%05d.gguf", static_cast<int>(no + 1), static_cast<int>(count));
  return stem + tail;
}

// Which of the parts are there, for messages.
std::string listing(const std::string& stem, int64_t count) {
  std::string missing;
  int64_t present = 0, absent = 0;
  for (int64_t no = 0; no < count; ++no) {
    std::string path = part_path(stem, no, count);
    if (access(path.c_str(), F_OK) == 0) ++present;
    else if (++absent <= 4)
      missing += (missing.empty() ? "" : ", ") + printable(path.substr(path.find_last_of('/') + 1), 300);
  }
  return std::to_string(present) + " of " + std::to_string(count) + " parts are there" +
         (absent ? ", missing " + missing + (absent > 4 ? ", ..." : "") : "");
}

[[noreturn]] void refuse(const char* kind, const std::string& path, const std::string& message, const std::string& hint,
                         const Value* at) {
  throw Error(kind, printable(path, 400) + ": " + message + (at ? " (byte offset " + std::to_string(at->at) + ")" : ""),
              hint, {{"path", path}, {"offset", at ? at->at : 0}});
}

void check_part(const File& first, const File& part, int64_t no) {
  const std::string& path = part.parts[0];
  const std::string hint = "the parts are of different models or were renamed; fetch them again";
  for (const char* key : {"split.count", "split.tensors.count"}) {
    int64_t a = first.get_int(key, -1), b = part.get_int(key, -1);
    if (a != b)
      refuse(
          "GGUFError", path,
          std::string(key) + " is " + std::to_string(b) + ", expected " + std::to_string(a) + " as in the first part",
          hint, part.value(key));
  }
  if (part.get_int("split.no", -1) != no)
    refuse("GGUFError", path,
           "split.no is " + std::to_string(part.get_int("split.no", -1)) + ", expected " + std::to_string(no) +
               " from its name",
           hint, part.value("split.no"));
  std::string a = first.get_string("general.architecture", ""), b = part.get_string("general.architecture", a);
  if (a != b)
    refuse("GGUFError", path,
           "general.architecture is " + printable(b) + ", expected " + printable(a) + " as in the first part", hint,
           part.value("general.architecture"));
}

void join(File& file, std::unique_ptr<File> part) {
  auto index = static_cast<int>(file.parts.size());
  file.parts.push_back(part->parts[0]);
  file.handles.push_back(part->handles[0]);
  part->handles.clear();
  file.bytes += part->bytes;
  file.header_bytes += part->header_bytes;
  for (TensorInfo& t : part->tensors) {
    t.part = index;
    file.tensors.push_back(std::move(t));
  }
  for (const std::string& key : part->keys)
    if (!key.starts_with("split.") && !file.value(key))
      file.warnings.push_back(file.parts.back() + ": key " + key + " is not in the first part and is ignored");
  file.warnings.insert(file.warnings.end(), part->warnings.begin(), part->warnings.end());
}

void join_parts(File& file, const Limits& limits) {
  const Value* declared = file.value("split.count");
  int64_t count = file.get_int("split.count", 0);
  if (count <= 1) return;
  const std::string path = file.parts[0];
  if (static_cast<uint64_t>(count) > limits.parts)
    throw Error("LimitExceededError",
                printable(path, 400) + ": split.count is " + std::to_string(count) + ", the cap is " +
                    std::to_string(limits.parts) + " (byte offset " + std::to_string(declared->at) + ")",
                "", {{"path", path}, {"limit", std::string("parts")}, {"value", count}, {"offset", declared->at}});
  int64_t no = file.get_int("split.no", 0);
  std::string tail = part_path("", no, count);
  if (!path.ends_with(tail))
    refuse("GGUFError", path,
           "it says that it is part " + std::to_string(no + 1) + " of " + std::to_string(count) +
               " of a split model, so its name should end in " + tail,
           "give the parts the names they were made with", declared);
  std::string stem = path.substr(0, path.size() - tail.size());
  if (no != 0)
    refuse("GGUFError", path,
           "this is part " + std::to_string(no + 1) + " of " + std::to_string(count) + "; " + listing(stem, count),
           "open the first part: " + part_path(stem, 0, count), file.value("split.no"));
  for (no = 1; no < count; ++no) {
    std::string next = part_path(stem, no, count);
    if (access(next.c_str(), F_OK) != 0)
      throw Error("ModelNotFoundError",
                  printable(next, 400) + ": part " + std::to_string(no + 1) + " of " + std::to_string(count) +
                      " cannot be found; " + listing(stem, count),
                  "fetch the missing parts into the same folder", {{"path", next}, {"parts", count}});
    auto part = gguf::read_part(next, limits);
    check_part(file, *part, no);
    join(file, std::move(part));
  }
  int64_t stated = file.get_int("split.tensors.count", static_cast<int64_t>(file.tensors.size()));
  if (stated != static_cast<int64_t>(file.tensors.size()))
    refuse("GGUFError", path,
           "split.tensors.count is " + std::to_string(stated) + ", but the " + std::to_string(count) + " parts hold " +
               std::to_string(file.tensors.size()) + " tensors",
           "the parts are of different models; fetch them again", file.value("split.tensors.count"));
}

void refuse_unsupported(const File& file) {
  const TensorInfo* first = nullptr;
  std::string names;
  int64_t count = 0;
  for (const TensorInfo& t : file.tensors) {
    if (t.format) continue;
    if (!first) first = &t;
    if (++count <= 4) names += (names.empty() ? "" : ", ") + t.name + " (" + t.type_name() + ")";
  }
  if (!first) return;
  std::string known;
  for (const Format* f : formats()) known += (known.empty() ? "" : " ") + std::string(f->name);
  const std::string& path = file.parts[static_cast<size_t>(first->part)];
  throw Error("UnsupportedModelError",
              printable(path, 400) + ": " + std::to_string(count) +
                  " tensors are of a type that we do not compute with: " + names + (count > 4 ? ", ..." : "") +
                  "; expected one of " + known + " (byte offset " + std::to_string(first->at) + ")",
              "get the model in one of these formats; `cutaway inspect` shows what is in it",
              {{"path", path}, {"tensors", count}, {"type", first->type_name()}, {"offset", first->at}});
}

}  // namespace

std::shared_ptr<const File> open_gguf(const std::string& path, const Limits& limits, bool header_only) {
  std::shared_ptr<File> file = gguf::read_part(path, limits);
  join_parts(*file, limits);
  file->index_tensors("GGUFError");
  if (!header_only) refuse_unsupported(*file);
  return file;
}

}  // namespace cutaway
