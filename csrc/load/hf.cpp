// open_hf: config.json and the weights beside it as a File that looks as if it came from GGUF.
#include <dirent.h>
#include <sys/stat.h>

#include "base/error.h"
#include "load/hf.h"
#include "load/open.h"

namespace cutaway {
namespace {

constexpr uint64_t most_config_bytes = uint64_t{16} << 20;

bool is_folder(const std::string& path) {
  struct stat s;
  return stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode);
}

// Some .gguf in the folder, or "".
std::string some_gguf(const std::string& folder) {
  std::string found;
  DIR* entries = opendir(folder.c_str());
  if (!entries) return found;
  for (int seen = 0; seen < 1000; ++seen) {
    const dirent* entry = readdir(entries);
    if (!entry) break;
    const std::string name = entry->d_name;
    if (name.ends_with(".gguf") && (found.empty() || name < found)) found = name;
  }
  closedir(entries);
  return found;
}

[[noreturn]] void no_config(const std::string& folder) {
  if (file_exists(folder + "/adapter_config.json"))
    throw Error("UnsupportedModelError",
                printable(folder, 400) + " holds an adapter (adapter_config.json), which changes a model and is none",
                "merge it into its model first: model.merge_and_unload().save_pretrained(folder)", {{"path", folder}});
  const std::string gguf = some_gguf(folder);
  throw Error("ModelNotFoundError",
              printable(folder, 400) + " has no config.json" + (gguf.empty() ? "" : "; it has " + printable(gguf, 300)),
              gguf.empty() ? "name a .gguf file, or a folder with config.json and model.safetensors"
                           : "name the .gguf file inside it",
              {{"path", folder}});
}

}  // namespace

std::shared_ptr<const File> open_hf(const std::string& path, const Limits& limits) {
  std::string folder = path;
  while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  const std::string config_path = folder + "/config.json";
  if (!file_exists(config_path)) no_config(folder);
  const std::string text = read_whole(config_path, most_config_bytes);
  auto file = std::make_shared<File>();
  file->folder = folder;
  file->kind = "safetensors";
  const HfConfig config = read_hf_config(config_path, parse_json(text, config_path, "ConfigError"), *file);
  put_string(*file, "general.name", folder.substr(folder.find_last_of('/') + 1));
  std::vector<StoredTensor> stored = read_safetensors(folder, limits, *file);
  file->header_bytes += text.size();
  map_hf_tensors(config, std::move(stored), *file);
  file->index_tensors("SafetensorsError");
  return file;
}

std::shared_ptr<const File> open_model(const std::string& path, const Limits& limits, bool header_only) {
  return is_folder(path) ? open_hf(path, limits) : open_gguf(path, limits, header_only);
}

}  // namespace cutaway
