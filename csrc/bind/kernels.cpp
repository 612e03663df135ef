// Kernels by name for Python: the same door that executors use, on NumPy arrays. Values are never changed on the way
// in: an array whose numbers the op cannot hold exactly is refused by name.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/machine.h"
#include "bind/bind.h"
#include "formats/f16/f16.h"
#include "formats/f32/f32.h"
#include "formats/packed.h"
#include "load/backend.h"
#include "load/cuda_library.h"
#include "op.h"
#include "peaks.h"
#include "quantize_q8/quantize_q8.h"

namespace py = pybind11;

namespace cutaway {
namespace {

constexpr size_t kGuardBytes = 256;
constexpr uint32_t kPoison = 0x7fc0dead;  // a NaN that no kernel computes
thread_local std::string last_kernel;

std::string plain_name(const char* argument) { return argument[0] == '?' ? argument + 1 : argument; }

const Op& op_named(const std::string& name) {
  if (const Op* op = find_op(name)) return *op;
  throw Error("ArgumentError", "there is no op " + printable(name), "cutaway.ops lists them");
}

// A weight in the layout that matmul and embed read.
struct PackedWeight {
  std::vector<std::byte> data;
  const Format* format;
  Shape shape;  // [N, K], or [X, N, K]: matrices one after the other
};

std::shared_ptr<PackedWeight> pack_weight(const std::string& name, const py::array& raw, int64_t K) {
  const Format* format = find_format(name);
  if (!format) throw Error("ArgumentError", "there is no format " + printable(name), "ct.formats() lists them");
  if (K < 1 || K % format->block || (has_codes(*format) && K % kBlockColumns))
    throw Error("ShapeError", name + ": rows of " + std::to_string(K) + " elements, expected a multiple of " +
                                  std::to_string(std::max<int64_t>(format->block, has_codes(*format) ? 32 : 1)));
  if ((raw.ndim() != 2 && raw.ndim() != 3) || raw.itemsize() != 1 ||
      raw.shape(raw.ndim() - 1) != row_bytes(*format, K) || !(raw.flags() & py::array::c_style))
    throw Error("ShapeError", name + ": stored rows of " + std::to_string(K) + " elements are uint8 [N, " +
                                  std::to_string(row_bytes(*format, K)) + "] or [X, N, ..], C-contiguous");
  const int64_t X = raw.ndim() == 3 ? raw.shape(0) : 1, N = raw.shape(raw.ndim() - 2);
  const Shape shape = raw.ndim() == 3 ? Shape{X, N, K} : Shape{N, K};
  auto out = std::make_shared<PackedWeight>();
  const auto* bytes = static_cast<const std::byte*>(raw.data());
  Pool pool(1);
  const StoredRows rows = [&](int64_t first, int64_t, void*) { return bytes + first * row_bytes(*format, K); };
  for (const Format* as : {&shortest(*format, K), format}) {
    *out = {std::vector<std::byte>(packed_bytes(*as, shape)), as, shape};
    if (pack(*as, shape, rows, out->data.data(), pool)) break;
  }
  return out;
}

// A tensor over a NumPy array, and the array that keeps its memory alive.
struct Argument {
  py::object keep;
  Tensor tensor;
};

Shape shape_of(const std::string& who, const py::array& array) {
  if (array.ndim() > 4)
    throw Error("ShapeError", who + " has " + std::to_string(array.ndim()) + " axes, expected at most 4");
  Shape shape;
  for (py::ssize_t i = 0; i < array.ndim(); ++i) shape[shape.rank++] = array.shape(i);
  return shape;
}

// The array as dtype `to`; raises where that would change a value.
py::array exactly(const std::string& who, const py::array& array, const char* to) {
  py::module_ numpy = py::module_::import("numpy");
  py::object converted = array.attr("astype")(to);
  py::object back = converted.attr("astype")(array.dtype());
  if (!py::cast<bool>(numpy.attr("array_equal")(array, back, py::arg("equal_nan") = array.dtype().kind() == 'f')))
    throw Error(
        "ArgumentError",
        who + " holds " + py::cast<std::string>(py::str(array.dtype())) + " values that " + to + " cannot hold exactly",
        std::string("round them yourself: .astype(\"") + to + "\")");
  return converted;
}

// Which dtype an argument travels in: indices as int32, rope's frequencies as float64, all else as float32 or float16.
Argument convert(const std::string& who, const std::string& name, const py::object& value) {
  if (value.is_none()) return {};
  if (py::isinstance<PackedWeight>(value)) {
    const auto& w = value.cast<const PackedWeight&>();
    return {value, {const_cast<std::byte*>(w.data.data()), w.format, w.shape, Layout::packed}};
  }
  py::array array = py::module_::import("numpy").attr("asarray")(value);
  const char kind = array.dtype().kind();
  if (kind == 'V' && array.itemsize() == sizeof(BlockQ8)) {
    array = py::module_::import("numpy").attr("ascontiguousarray")(array);
    return {array, {const_cast<void*>(array.data()), &format_f32, shape_of(who, array), Layout::q8}};
  }
  if (kind != 'f' && kind != 'i' && kind != 'u')
    throw Error("ArgumentError",
                who + " is an array of " + py::cast<std::string>(py::str(array.dtype())) + ", expected numbers");
  const bool index = name == "positions" || name == "ids" || name == "indices", wide = name == "frequencies";
  const char* dtype = index ? "int32" : wide ? "float64" : kind == 'f' && array.itemsize() == 2 ? "float16" : "float32";
  py::module_ numpy = py::module_::import("numpy");
  const Shape shape = shape_of(who, array);
  if (!array.dtype().equal(py::dtype(dtype))) array = exactly(who, array, dtype);
  array = numpy.attr("require")(array, py::arg("requirements") = "CA");  // contiguous rows, aligned elements
  const Format* format = index || wide ? nullptr : std::string_view(dtype) == "float16" ? &format_f16 : &format_f32;
  return {array, {const_cast<void*>(array.data()), format, shape}};
}

std::vector<Argument> convert_all(const Op& op, const char* what, const std::vector<const char*>& names,
                                  const py::sequence& values) {
  if (values.size() > names.size())
    throw Error("ArgumentError", std::string(op.name) + ": got " + std::to_string(values.size()) + " " + what +
                                     ", expected at most " + std::to_string(names.size()));
  std::vector<Argument> arguments(names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string name = plain_name(names[i]);
    if (i < values.size()) arguments[i] = convert(std::string(op.name) + ": " + name, name, values[i]);
    if (!arguments[i].tensor.data && names[i][0] != '?')
      throw Error("ArgumentError", std::string(op.name) + ": " + name + " is missing");
  }
  return arguments;
}

Attributes convert_attributes(const Op& op, const py::dict& values) {
  Attributes attributes;
  for (auto [key, value] : values) {
    const std::string name = py::cast<std::string>(key);
    bool known = false;
    for (const char* attribute : op.attributes) known = known || plain_name(attribute) == name;
    if (!known) throw Error("ArgumentError", std::string(op.name) + " has no attribute " + printable(name));
    if (!value.is_none())
      attributes.emplace_back(name, py::cast<double>(py::float_(py::reinterpret_borrow<py::object>(value))));
  }
  for (const char* attribute : op.attributes) {
    bool given = attribute[0] == '?';
    for (const auto& entry : attributes) given = given || entry.first == attribute;
    if (!given) throw Error("ArgumentError", std::string(op.name) + ": attribute " + attribute + " is missing");
  }
  return attributes;
}

std::vector<Tensor> tensors(const std::vector<Argument>& arguments) {
  std::vector<Tensor> out;
  for (const auto& argument : arguments) out.push_back(argument.tensor);
  return out;
}

// Memory for the output between two guards, off by one float from any alignment, all of it poisoned.
struct Guarded {
  std::vector<uint32_t> words;
  size_t elements;

  explicit Guarded(size_t elements) : words(elements + 2 * kGuardBytes / 4 + 1, kPoison), elements(elements) {}
  uint32_t* data() { return words.data() + kGuardBytes / 4 + 1; }
  void check(const std::string& who) {
    for (uint32_t* p = words.data(); p != words.data() + words.size(); ++p) {
      const bool inside = p >= data() && p < data() + elements;
      if (inside && *p == kPoison)
        throw Error("InternalError", who + " left element " + std::to_string(p - data()) + " of its output unwritten");
      if (!inside && *p != kPoison)
        throw Error("InternalError", who + " wrote outside its output, at element " + std::to_string(p - data()));
    }
  }
};

// Threads may not meet in the output, whichever of them is last: each half of the units, computed alone, has to leave
// the other's elements as they were.
void check_halves(const Op& op, Call call, size_t kernel, size_t elements, const std::string& who) {
  Guarded half[2] = {Guarded(elements), Guarded(elements)};
  for (int64_t i = 0; i < 2; ++i) {
    call.out.data = half[i].data();
    alignas(64) std::byte args[kMostArgs];
    op.bind(call, args);
    const int64_t units = op.units(args), begin = units * i / 2, end = units * (i + 1) / 2;
    const size_t scratch = op.scratch_bytes(args);
    if (begin < end) op.compute(args, kernel, begin, end, scratch ? thread_scratch(scratch) : nullptr);
  }
  for (size_t i = 0; i < elements; ++i)
    if (half[0].data()[i] != kPoison && half[1].data()[i] != kPoison)
      throw Error("InternalError", who + " wrote element " + std::to_string(i) + " of its output from both halves");
}

// The CUDA device 0, made when a kernel of `target` is first asked for. Never destroyed: at exit the driver may be
// gone.
Backend& cuda_device(const std::string& target) {
  static auto* devices = new std::map<std::string, std::shared_ptr<Backend>>;
  std::shared_ptr<Backend>& device = (*devices)[target];
  if (!device) device = cuda_backend(0, target, 0);
  return *device;
}

// Tensors on a backend, given back at the end.
struct OnBackend {
  Backend& backend;
  std::vector<std::pair<void*, size_t>> memory{};

  explicit OnBackend(Backend& b) : backend(b) {}
  OnBackend(const OnBackend&) = delete;
  ~OnBackend() {
    for (auto [address, bytes] : memory) backend.release(address, bytes);
  }
  void* allocate(size_t bytes) {
    memory.emplace_back(backend.allocate(bytes), bytes);
    return memory.back().first;
  }
  Tensor upload(const Argument& argument) {
    Tensor tensor = argument.tensor;
    if (!tensor.data) return tensor;
    if (tensor.layout == Layout::packed) return matrix(tensor);
    const auto array = py::reinterpret_borrow<py::array>(argument.keep);
    const auto bytes = static_cast<size_t>(array.nbytes());
    tensor.data = allocate(bytes);
    backend.upload(tensor.data, array.data(), bytes);
    return tensor;
  }
  // A weight packed for the CPU, as the backend's products read it.
  Tensor matrix(const Tensor& packed) {
    const Tensor tensor = backend.weight(format_f32, packed.shape, [&](int64_t first, int64_t count, void* buffer) {
      for (int64_t i = 0; i < count; ++i)
        unpack_packed(*packed.format, packed.data, packed.shape, first + i,
                      static_cast<float*>(buffer) + i * packed.shape.last());
      return buffer;
    });
    memory.emplace_back(tensor.data, backend.weight_bytes(format_f32, packed.shape));
    return tensor;
  }
};

py::array output_of(const Op& op, const Shape& shape) {
  return {py::dtype(op.integers ? "int32" : "float32"),
          std::vector<py::ssize_t>(shape.axes.begin(), shape.axes.begin() + shape.rank)};
}

// A CUDA kernel on arrays: checked against the arrays as on the CPU, then run on copies.
py::array run_cuda(const Op& op, const std::vector<Argument>& reads, const std::vector<Argument>& weights,
                   const Attributes& attributes, const std::string& target, bool guard) {
  OnBackend there(cuda_device(target));
  if (there.backend.target_of(op) != target)
    throw Error("UnsupportedOperation", std::string(op.name) + " has no kernel for target " + target);
  const auto host_reads = tensors(reads), host_weights = tensors(weights);
  Call call{.who = op.name, .reads = host_reads, .weights = host_weights, .out = {}, .attributes = &attributes};
  const Shape shape = op.shape(call);
  const auto elements = static_cast<size_t>(shape.elements());
  Guarded guarded(elements);
  call.out = {guarded.data(), &format_f32, shape};
  alignas(64) std::byte args[1024];
  invariant(op.args_bytes <= sizeof(args), "an argument struct fits");
  op.bind(call, args);  // looks at ids and positions, which it cannot do on the device

  std::vector<Tensor> read_tensors, weight_tensors;
  for (const Argument& read : reads) read_tensors.push_back(there.upload(read));
  for (const Argument& weight : weights) weight_tensors.push_back(there.upload(weight));
  const size_t bytes = guarded.words.size() * sizeof(uint32_t);
  auto* words = static_cast<uint32_t*>(there.allocate(bytes));
  there.backend.upload(words, guarded.words.data(), bytes);
  call.reads = read_tensors;
  call.weights = weight_tensors;
  call.out.data = words + (guarded.data() - guarded.words.data());
  there.backend.run(op, call);
  there.backend.download(guarded.words.data(), words, bytes);
  last_kernel = std::string(op.name) + "/" + target;
  if (guard) guarded.check(last_kernel);
  py::array out = output_of(op, shape);
  std::memcpy(out.mutable_data(), guarded.data(), elements * sizeof(float));
  return out;
}

py::array run_op(const std::string& name, const py::sequence& reads, const py::sequence& weights,
                 const py::dict& attributes, const std::string& target, int threads, bool guard) {
  const Op& op = op_named(name);
  if (threads < 1 || threads > 1024)
    throw Error("ArgumentError", name + ": threads is " + std::to_string(threads) + ", expected 1 to 1024");
  const bool cuda = target == "cuda" || target == "cublas";
  const size_t kernel = cuda ? 0 : target.empty() ? op.pick(default_target()) : op.named(target);
  const auto read_arrays = convert_all(op, "reads", op.reads, reads);
  const auto weight_arrays = convert_all(op, "weights", op.weights, weights);
  const auto numbers = convert_attributes(op, attributes);
  if (cuda) return run_cuda(op, read_arrays, weight_arrays, numbers, target, guard);
  const auto read_tensors = tensors(read_arrays), weight_tensors = tensors(weight_arrays);
  Call call{.who = op.name, .reads = read_tensors, .weights = weight_tensors, .out = {}, .attributes = &numbers};
  call.guarded = guard;
  const Shape shape = op.shape(call);
  py::array out = output_of(op, shape);
  const size_t elements = static_cast<size_t>(shape.elements());
  std::unique_ptr<Guarded> guarded = guard ? std::make_unique<Guarded>(elements) : nullptr;
  call.out = {guard ? static_cast<void*>(guarded->data()) : out.mutable_data(), &format_f32, shape};
  {
    py::gil_scoped_release release;
    Pool pool(threads);
    op.run(call, kernel, pool);
  }
  last_kernel = name + "/" + op.targets[kernel];
  if (guard) {
    guarded->check(last_kernel);
    if (threads > 1) check_halves(op, call, kernel, elements, last_kernel);
    std::memcpy(out.mutable_data(), guarded->data(), elements * sizeof(float));
  }
  return out;
}

py::dict list_cuda_devices() {
  const CudaDevices found = cuda_devices();
  py::list list;
  for (const CudaDeviceInfo& d : found.devices)
    list.append(py::dict(py::arg("name") = d.name, py::arg("major") = d.major, py::arg("minor") = d.minor,
                         py::arg("bytes") = d.bytes));
  return py::dict(py::arg("devices") = list, py::arg("reason") = found.reason);
}

// Targets of an op's CUDA kernels; none where there is no device.
std::vector<std::string> cuda_targets(const std::string& name) {
  std::vector<std::string> out;
  if (cuda_devices().devices.empty()) return out;
  for (const CudaKernel* kernel : cuda_library().kernels())
    if (kernel->op == name) out.emplace_back(kernel->target);
  std::sort(out.begin(), out.end(), std::greater<>());  // cuda, cublas
  return out;
}

py::list list_ops() {
  py::list out;
  for (const Op* op : ops())
    out.append(py::dict(py::arg("name") = op->name, py::arg("reads") = op->reads, py::arg("weights") = op->weights,
                        py::arg("attributes") = op->attributes, py::arg("targets") = op->targets,
                        py::arg("per_sequence") = op->per_sequence, py::arg("integers") = op->integers));
  return out;
}

}  // namespace

void bind_kernels(py::module_& m) {
  py::class_<PackedWeight, std::shared_ptr<PackedWeight>>(m, "PackedWeight", "A weight laid out for matmul and embed.")
      .def_property_readonly("shape",
                             [](const PackedWeight& w) {
                               py::tuple out(w.shape.rank);
                               for (int i = 0; i < w.shape.rank; ++i) out[static_cast<size_t>(i)] = w.shape[i];
                               return out;
                             })
      .def_property_readonly("format", [](const PackedWeight& w) { return w.format->name; })
      .def_property_readonly("nbytes", [](const PackedWeight& w) { return w.data.size(); })
      .def(
          "row",
          [](const PackedWeight& w, int64_t n) {
            if (n < 0 || n >= w.shape.rows())
              throw Error("ArgumentError", "row " + std::to_string(n) + " of " + std::to_string(w.shape.rows()));
            py::array_t<float> out(w.shape.last());
            unpack_packed(*w.format, w.data.data(), w.shape, n, out.mutable_data());
            return out;
          },
          py::arg("n"), "Row n as float32 [K].");
  m.def("pack_weight", pack_weight, py::arg("format"), py::arg("raw"), py::arg("K"),
        "Stored rows, uint8 [N, row_bytes], laid out for matmul and embed.");
  m.def("ops", list_ops,
        "Every op: name, reads, weights, attributes ('?' marks optional ones), targets, per_sequence.");
  m.def("run_op", run_op, py::arg("name"), py::arg("reads"), py::arg("weights"), py::arg("attributes"),
        py::arg("target") = "", py::arg("threads") = 1, py::arg("guard") = false,
        "Runs one kernel on arrays. guard: the output lies unaligned between guard bytes, and every write is checked.");
  m.def(
      "measure_peaks",
      [](const std::string& target, int threads, const py::array_t<float, py::array::c_style>& buffer, int runs) {
        Pool pool(threads ? threads : machine().cores);
        Peaks peaks;
        {
          py::gil_scoped_release release;
          peaks = measure_peaks(pool, resolve_target(target), buffer.data(), buffer.size() / 16, runs);
        }
        return py::dict(py::arg("gbs") = peaks.gbs, py::arg("int8") = peaks.int8, py::arg("float32") = peaks.float32,
                        py::arg("threads") = pool.threads());
      },
      py::arg("target"), py::arg("threads"), py::arg("buffer"), py::arg("runs"),
      "What simple loops reach: 1e9 bytes read a second, operations a second on 8-bit codes and on floats.");
  m.def("cuda_devices", list_cuda_devices,
        "devices: name, compute capability, bytes of each; reason: why there is none.");
  m.def("cuda_targets", cuda_targets, py::arg("name"), "Targets of an op's CUDA kernels, where there is a device.");
  m.def(
      "look_for_cublas_in", [](const std::string& folder) { cuda_library().look_for_cublas_in(folder.c_str()); },
      py::arg("folder"), "Where the CUDA library looks for cuBLAS before it asks the system.");
  m.def("fail_cuda_allocation", fail_cuda_allocation, py::arg("after"),
        "For tests: of the next allocations on CUDA devices, the one after `after` more fails; negative: none does.");
  m.def(
      "last_kernel", [] { return last_kernel; }, "The kernel that this thread's last run_op ran: \"rms_norm/avx2\".");
}

}  // namespace cutaway
