#include "load/cuda_library.h"

#include <dlfcn.h>

#include <filesystem>
#include <mutex>

#include "base/error.h"
#include "op.h"

namespace cutaway {
namespace {

// The folder of the binary that this function is in: the compiled module's.
std::filesystem::path own_folder() {
  Dl_info info{};
  invariant(dladdr(reinterpret_cast<void*>(&own_folder), &info) && info.dli_fname, "the core knows its own file");
  return std::filesystem::canonical(info.dli_fname).parent_path();
}

const CudaLibrary* open_library() {
  const auto path = own_folder() / "libcutaway_cuda.so";
  if (!std::filesystem::exists(path))
    throw Error("DeviceError", "this build of cutaway has no CUDA library (no " + path.string() + ")",
                "build it where nvcc is: pip install . -Ccmake.define.CUTAWAY_CUDA=ON");
  if (void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)) dlclose(driver);
  else
    throw Error("DeviceError", "no NVIDIA driver on this machine (libcuda.so.1 was not found)",
                "install the driver, or use device=\"cpu\"");
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw Error("DeviceError", path.string() + " cannot be loaded: " + dlerror());
  const auto entry = reinterpret_cast<CudaLibraryEntry>(dlsym(library, "cutaway_cuda_library"));
  if (!entry) throw Error("DeviceError", path.string() + " is not cutaway's CUDA library", "install cutaway again");
  const CudaLibrary* found = entry();
  if (std::string_view(found->abi) != CUTAWAY_CUDA_ABI)
    throw Error("DeviceError",
                path.string() + " is \"" + printable(found->abi) + "\", expected \"" + CUTAWAY_CUDA_ABI + "\"",
                "the library and the core are of two builds: install cutaway again");
  for (const CudaKernel* kernel : found->kernels()) {
    const Op* op = find_op(kernel->op);
    if (!op || op->args_bytes != kernel->args_bytes)
      throw Error("DeviceError",
                  path.string() + " has a kernel " + kernel->op + "/" + kernel->target + " of another build",
                  "the library and the core are of two builds: install cutaway again");
  }
  return found;
}

}  // namespace

const CudaLibrary& cuda_library() {
  static std::mutex mutex;
  static const CudaLibrary* library = nullptr;
  std::lock_guard lock(mutex);
  if (!library) library = open_library();  // a failure is tried again: its reason may have gone
  return *library;
}

CudaDevices cuda_devices() {
  try {
    return {cuda_library().devices(), ""};
  } catch (const Error& error) {
    if (error.kind != "DeviceError") throw;
    return {{}, error.message};
  }
}

}  // namespace cutaway
