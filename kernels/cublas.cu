#include "cublas.cuh"

#include <dlfcn.h>

#include <climits>
#include <mutex>
#include <string>

namespace cutaway::cuda {
namespace {

// As in cublas_api.h: cublasStatus_t, cublasMath_t and cublasOperation_t are ints.
constexpr int kAllocFailed = 3, kPedanticMath = 2, kNotTransposed = 0, kTransposed = 1;

struct Cublas {
  int (*create)(void** handle);
  int (*destroy)(void* handle);
  int (*set_stream)(void* handle, cudaStream_t stream);
  int (*set_math_mode)(void* handle, int mode);
  int (*sgemm)(void* handle, int transa, int transb, int m, int n, int k, const float* alpha, const float* a, int lda,
               const float* b, int ldb, const float* beta, float* c, int ldc);
};

std::mutex cublas_mutex;
std::string cublas_folder;

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (!function) throw Error("DeviceError", std::string("this cuBLAS has no function ") + name);
}

const Cublas& cublas() {
  std::lock_guard lock(cublas_mutex);
  static Cublas found{};
  if (found.create) return found;
  void* library = nullptr;
  std::string tried;
  const std::string prefixes[] = {cublas_folder.empty() ? "" : cublas_folder + "/", ""};
  for (const std::string& prefix : prefixes)
    for (const char* name : {"libcublas.so.13", "libcublas.so.12"}) {
      if (library) continue;
      library = dlopen((prefix + name).c_str(), RTLD_NOW | RTLD_LOCAL);
      tried += (tried.empty() ? "" : ", ") + prefix + name;
    }
  if (!library)
    throw Error("DeviceError", "cuBLAS was not found; looked for " + tried,
                "pip install 'cutaway[cuda]', or use target=\"cuda\", which needs no library");
  Cublas functions{};
  find(library, "cublasDestroy_v2", functions.destroy);
  find(library, "cublasSetStream_v2", functions.set_stream);
  find(library, "cublasSetMathMode", functions.set_math_mode);
  find(library, "cublasSgemm_v2", functions.sgemm);
  find(library, "cublasCreate_v2", functions.create);
  found = functions;
  return found;
}

void check_cublas(int status, const char* call) {
  if (status == 0) return;
  throw Error(status == kAllocFailed ? "OutOfMemoryError" : "DeviceError",
              std::string(call) + " failed with cublasStatus_t " + std::to_string(status));
}

}  // namespace

void look_for_cublas_in(const char* folder) {
  std::lock_guard lock(cublas_mutex);
  cublas_folder = folder;
}

void destroy_cublas(void* handle) { cublas().destroy(handle); }

void cublas_product(const float* x, const float* w, float* y, int64_t T, int64_t N, int64_t K, const CudaLaunch& on) {
  const Cublas& library = cublas();
  if (T > INT_MAX || N > INT_MAX || K > INT_MAX) throw Error("DeviceError", "a product too large for cuBLAS's int");
  if (!*on.cublas) {
    check_cublas(library.create(on.cublas), "cublasCreate");
    check_cublas(library.set_stream(*on.cublas, stream_of(on)), "cublasSetStream");
    check_cublas(library.set_math_mode(*on.cublas, kPedanticMath), "cublasSetMathMode");
  }
  // Column by column, as cuBLAS counts: y^T [N, T] = w [N, K] x^T [K, T], where w lies transposed.
  const float one = 1.0f, zero = 0.0f;
  const int t = static_cast<int>(T), n = static_cast<int>(N), k = static_cast<int>(K);
  check_cublas(library.sgemm(*on.cublas, kTransposed, kNotTransposed, n, t, k, &one, w, k, x, k, &zero, y, n),
               "cublasSgemm");
}

}  // namespace cutaway::cuda
