// Python's view of a model file: _core.File, _core.open_gguf, _core.open_model. Names and bytes become str with
// surrogateescape, so that no byte of a hostile file is lost or refused here.
#include "base/error.h"
#include "bind/bind.h"
#include "load/file.h"
#include "load/gguf.h"

namespace py = pybind11;

namespace cutaway {
namespace {

py::str text(const std::string& bytes) {
  return py::reinterpret_steal<py::str>(
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "surrogateescape"));
}

std::string path_bytes(const py::object& path) {
  return py::module_::import("os").attr("fsencode")(path).cast<std::string>();
}

py::object to_python(const Value& value) {
  if (!value.is_array) {
    if (const auto* s = std::get_if<std::string>(&value.it)) return text(*s);
    return std::visit(
        [](const auto& v) -> py::object {
          if constexpr (std::is_arithmetic_v<std::decay_t<decltype(v)>>) return py::cast(v);
          return py::none();
        },
        value.it);
  }
  return std::visit(
      [](const auto& elements) -> py::object {
        using T = typename std::decay_t<decltype(elements)>::value_type;
        py::list out(elements.size());
        for (size_t i = 0; i < elements.size(); ++i) {
          if constexpr (std::is_same_v<T, std::string>) out[i] = text(elements[i]);
          else out[i] = py::cast(static_cast<T>(elements[i]));
        }
        return out;
      },
      std::get<Value::Array>(value.it));
}

std::string type_name(const Value& value) {
  return std::string(gguf::value_type_name(value.type)) + (value.is_array ? "[]" : "");
}

const Value& value_of(const File& file, const py::str& key) {
  const Value* value = file.value(py::bytes(key.attr("encode")("utf-8", "backslashreplace")).cast<std::string>());
  if (!value) throw py::key_error(py::repr(key).cast<std::string>());
  return *value;
}

py::tuple shape_of(const TensorInfo& t) {
  py::tuple shape(t.shape.rank);
  for (int i = 0; i < t.shape.rank; ++i) shape[static_cast<size_t>(i)] = t.shape[i];
  return shape;
}

Limits limits_of(const py::dict& given) {
  Limits limits;
  const std::pair<const char*, uint64_t*> fields[] = {{"header_bytes", &limits.header_bytes},
                                                      {"metadata_keys", &limits.metadata_keys},
                                                      {"tensors", &limits.tensors},
                                                      {"key_bytes", &limits.key_bytes},
                                                      {"name_bytes", &limits.name_bytes},
                                                      {"string_bytes", &limits.string_bytes},
                                                      {"array_elements", &limits.array_elements},
                                                      {"elements", &limits.elements},
                                                      {"parts", &limits.parts}};
  for (const auto& [key, value] : given) {
    uint64_t* field = nullptr;
    std::string names;
    for (const auto& [name, address] : fields) {
      if (py::str(key).equal(py::str(name))) field = address;
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    if (!field)
      throw Error("ArgumentError",
                  "limits has no " + printable(py::str(key).cast<std::string>()) + ", expected one of " + names);
    try {
      *field = value.cast<uint64_t>();
    } catch (const py::cast_error&) {
      throw Error("ArgumentError", "limits: " + printable(py::str(key).cast<std::string>()) + " is " +
                                       printable(py::repr(value).cast<std::string>()) +
                                       ", expected an integer from 0 to 2^64 - 1");
    }
  }
  return limits;
}

const TensorInfo& tensor_of(const File& file, const std::string& name) {
  if (const TensorInfo* t = file.find(name)) return *t;
  throw Error("MappingError", printable(file.parts[0], 400) + " has no tensor " + printable(name),
              "list them with cutaway inspect", {{"tensor", name}});
}

py::array_t<uint8_t> raw(const File& file, const std::string& name, uint64_t start, std::optional<uint64_t> bytes) {
  const TensorInfo& t = tensor_of(file, name);
  uint64_t count = bytes ? *bytes : t.bytes - std::min(start, t.bytes);
  if (start > t.bytes || count > t.bytes - start)
    throw Error("ArgumentError",
                "tensor " + t.name + " has " + std::to_string(t.bytes) + " bytes, asked for " + std::to_string(count) +
                    " from " + std::to_string(start),
                "", {{"tensor", t.name}});
  py::array_t<uint8_t> out(static_cast<py::ssize_t>(count));
  uint8_t* data = out.mutable_data();
  py::gil_scoped_release release;
  file.read(t, start, count, data);
  return out;
}

}  // namespace

void bind_save(py::module_& m);  // save.cpp

void bind_load(py::module_& m) {
  py::class_<TensorInfo>(m, "TensorInfo", "One tensor of a File.")
      .def_property_readonly("name", [](const TensorInfo& t) { return text(t.name); })
      .def_property_readonly("format", &TensorInfo::type_name, "How its elements are stored: \"q4_1\".")
      .def_property_readonly(
          "supported", [](const TensorInfo& t) { return t.format != nullptr; }, "Whether we compute with this format.")
      .def_property_readonly("shape", shape_of, "Row-major, slowest axis first.")
      .def_readonly("offset", &TensorInfo::offset, "Bytes from the start of its file.")
      .def_readonly("bytes", &TensorInfo::bytes, "Stored bytes; 0 where the type's size is unknown.")
      .def_readonly("part", &TensorInfo::part, "Index into File.parts.")
      .def_readonly("type", &TensorInfo::type, "ggml's type id.")
      .def("__repr__",
           [](const TensorInfo& t) { return "<tensor " + t.name + " " + t.type_name() + " " + t.shape.str() + ">"; });

  py::class_<File, std::shared_ptr<File>>(m, "File",
                                          "A model file, validated: metadata, tensors, bytes. Made by open_model.")
      .def_property_readonly("parts",
                             [](const File& f) {
                               py::list out;
                               for (const auto& path : f.parts)
                                 out.append(py::module_::import("os").attr("fsdecode")(py::bytes(path)));
                               return out;
                             })
      .def_property_readonly(
          "folder", [](const File& f) { return py::module_::import("os").attr("fsdecode")(py::bytes(f.folder)); },
          "Of a Hugging Face model; \"\" for GGUF.")
      .def_readonly("kind", &File::kind, "\"gguf v3\", \"safetensors\"")
      .def_readonly("bytes", &File::bytes, "All parts together.")
      .def_readonly("header_bytes", &File::header_bytes, "What lies before the tensor data, all parts together.")
      .def_readonly("keys", &File::keys, "Metadata keys in file order.")
      .def_property_readonly("warnings",
                             [](const File& f) {
                               py::list out;
                               for (const auto& warning : f.warnings) out.append(text(warning));
                               return out;
                             })
      .def(
          "value", [](const File& f, const py::str& key) { return to_python(value_of(f, key)); }, py::arg("key"),
          "One metadata value.")
      .def(
          "value_type", [](const File& f, const py::str& key) { return type_name(value_of(f, key)); }, py::arg("key"),
          "\"u32\", or \"string[]\" for an array.")
      .def(
          "length", [](const File& f, const py::str& key) { return value_of(f, key).size(); }, py::arg("key"),
          "Elements of an array value, 1 otherwise.")
      .def_property_readonly(
          "metadata",
          [](const File& f) {
            py::dict out;
            for (const auto& key : f.keys) out[text(key)] = to_python(*f.value(key));
            return out;
          },
          "All metadata, made anew at each access; value(key) converts one.")
      .def_property_readonly("types",
                             [](const File& f) {
                               py::dict out;
                               for (const auto& key : f.keys) out[text(key)] = type_name(*f.value(key));
                               return out;
                             })
      .def_property_readonly(
          "tensors", [](const File& f) { return f.tensors; }, "In file order.")
      .def(
          "tensor", [](const File& f, const std::string& name) { return tensor_of(f, name); }, py::arg("name"))
      .def("raw", raw, py::arg("name"), py::arg("start") = 0, py::arg("bytes") = py::none(),
           "Stored bytes of a tensor as a uint8 array.")
      .def("__repr__", [](const File& f) {
        return "<File " + printable(f.parts[0], 400) + " " + f.kind + ", " + std::to_string(f.tensors.size()) +
               " tensors, " + std::to_string(f.bytes) + " bytes>";
      });

  m.def(
      "open_gguf",
      [](const py::object& path, bool header_only, const py::dict& limits) {
        std::string at = path_bytes(path);
        Limits caps = limits_of(limits);
        py::gil_scoped_release release;
        return std::const_pointer_cast<File>(open_gguf(at, caps, header_only));
      },
      py::arg("path"), py::arg("header_only") = false, py::arg("limits") = py::dict(),
      "Opens a GGUF file, or a split one by its first part, and validates its header.");
  m.def(
      "open_model",
      [](const py::object& path, bool header_only, const py::dict& limits) {
        std::string at = path_bytes(path);
        Limits caps = limits_of(limits);
        py::gil_scoped_release release;
        return std::const_pointer_cast<File>(open_model(at, caps, header_only));
      },
      py::arg("path"), py::arg("header_only") = false, py::arg("limits") = py::dict(),
      "Opens a Hugging Face folder, or a GGUF file as open_gguf does, and validates its headers.");
  bind_save(m);
}

}  // namespace cutaway
