// _core.write_gguf: typed Python values into the writer. cutaway/gguf.py infers the types.
#include "base/error.h"
#include "bind/bind.h"
#include "load/file.h"
#include "load/gguf.h"

namespace py = pybind11;

namespace cutaway {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error("ArgumentError", "write_gguf: " + message); }

std::string shown(py::handle value) { return printable(py::repr(value).cast<std::string>()); }

// A Python number as the file's `type`; refused where it does not fit.
template <typename T>
T number_from(py::handle value, const std::string& key, const std::string& type) {
  bool is_bool = py::isinstance<py::bool_>(value);
  try {
    if (is_bool == std::is_same_v<T, bool>) return value.cast<T>();
  } catch (const py::cast_error&) {}
  refuse(printable(key) + " is " + shown(value) + ", which is no " + type);
}

std::string text_from(py::handle value, const std::string& key) {
  if (py::isinstance<py::bytes>(value)) return value.cast<std::string>();
  if (!py::isinstance<py::str>(value)) refuse(printable(key) + " is " + shown(value) + ", expected str or bytes");
  try {
    return py::bytes(value.attr("encode")("utf-8", "surrogateescape")).cast<std::string>();
  } catch (const py::error_already_set&) {
    refuse(printable(key) + " is " + shown(value) + ", which UTF-8 cannot hold");
  }
}

template <typename T>
Value::Array array_from(py::handle values, const std::string& key, const std::string& type) {
  if (!py::isinstance<py::iterable>(values)) refuse(printable(key) + " is " + shown(values) + ", expected a sequence");
  std::vector<T> out;
  for (py::handle value : values) {
    if constexpr (std::is_same_v<T, std::string>) out.push_back(text_from(value, key));
    else out.push_back(number_from<T>(value, key, type));
  }
  return out;
}

template <typename T, typename Wide>
void set(Value& v, py::handle value, const std::string& key, const std::string& type) {
  if (v.is_array) v.it = array_from<T>(value, key, type);
  else v.it = Wide{number_from<T>(value, key, type)};
}

Value value_from(const std::string& key, std::string type, py::handle value) {
  using namespace gguf;
  Value v;
  v.is_array = type.ends_with("[]");
  if (v.is_array) type.resize(type.size() - 2);
  for (v.type = 0; v.type < value_types && type != value_type_name(v.type);) ++v.type;
  switch (v.type) {
    case u8:
      set<uint8_t, uint64_t>(v, value, key, type);
      return v;
    case i8:
      set<int8_t, int64_t>(v, value, key, type);
      return v;
    case u16:
      set<uint16_t, uint64_t>(v, value, key, type);
      return v;
    case i16:
      set<int16_t, int64_t>(v, value, key, type);
      return v;
    case u32:
      set<uint32_t, uint64_t>(v, value, key, type);
      return v;
    case i32:
      set<int32_t, int64_t>(v, value, key, type);
      return v;
    case u64:
      set<uint64_t, uint64_t>(v, value, key, type);
      return v;
    case i64:
      set<int64_t, int64_t>(v, value, key, type);
      return v;
    case f32:
      set<float, double>(v, value, key, type);
      return v;
    case f64:
      set<double, double>(v, value, key, type);
      return v;
    case boolean:
      set<bool, bool>(v, value, key, type);
      return v;
    case string:
      if (v.is_array) v.it = array_from<std::string>(value, key, type);
      else v.it = text_from(value, key);
      return v;
    default:
      break;
  }
  refuse(printable(key) + " has type " + printable(type) +
         ", expected u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 bool string, or one of them with [] behind it");
}

uint32_t type_from(const std::string& name) {
  TensorInfo t{};
  for (; t.type < 256; ++t.type) {
    t.format = find_format(t.type);
    if ((t.format || gguf_type_name(t.type)) && t.type_name() == name) return t.type;
  }
  refuse("format " + printable(name) + " is not one of GGUF's");
}

using TypedValue = std::tuple<py::str, std::string, py::object>;
using TypedTensor = std::tuple<py::str, std::string, std::vector<int64_t>, py::array_t<uint8_t, py::array::c_style>>;

void write(const py::object& path, const std::vector<TypedValue>& metadata, const std::vector<TypedTensor>& tensors) {
  std::vector<std::pair<std::string, Value>> values;
  for (const auto& [key, type, value] : metadata) {
    std::string name = text_from(key, "a key");
    values.emplace_back(name, value_from(name, type, value));
  }
  std::vector<TensorData> data;
  for (const auto& [name, format, axes, bytes] : tensors) {
    if (axes.size() > 4) refuse("tensor " + printable(text_from(name, "a name")) + " has more than 4 axes");
    TensorData t{.name = text_from(name, "a name"),
                 .type = type_from(format),
                 .shape = {},
                 .data = bytes.data(),
                 .bytes = static_cast<uint64_t>(bytes.size())};
    for (int64_t n : axes) t.shape[t.shape.rank++] = n;
    data.push_back(std::move(t));
  }
  auto at = py::module_::import("os").attr("fsencode")(path).cast<std::string>();
  py::gil_scoped_release release;
  write_gguf(at, values, data);
}

}  // namespace

void bind_save(py::module_& m) {
  m.def("write_gguf", write, py::arg("path"), py::arg("metadata"), py::arg("tensors"),
        "Writes [(key, type, value)] and [(name, format, shape, uint8 array)] as GGUF v3, atomically.");
}

}  // namespace cutaway
