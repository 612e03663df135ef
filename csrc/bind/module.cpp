// The compiled module cutaway._core: names and arrays for Python, one exception translator, nothing else.
#include "base/error.h"
#include "base/json.h"
#include "base/machine.h"
#include "bind/bind.h"

namespace py = pybind11;

namespace cutaway {
namespace {

// U+0080 to U+009F, two bytes each in UTF-8, steer terminals as the ASCII control characters do.
std::string without_controls(const std::string& message) {
  std::string out;
  for (size_t i = 0; i < message.size(); ++i) {
    bool control = message[i] == '\xc2' && i + 1 < message.size() && (message[i + 1] & 0xe0) == 0x80;
    if (control) {
      char second = message[++i];
      out += std::string("\\x") + (second & 0x10 ? '9' : '8') + "0123456789abcdef"[second & 15];
    } else {
      out += message[i];
    }
  }
  return out;
}

// Raises cutaway.errors.<kind>(message, hint=..., **details).
void raise(const Error& error) {
  py::object type = py::module_::import("cutaway.errors").attr(error.kind.c_str());
  py::dict details;
  // Paths and names are bytes, and need not be UTF-8.
  auto decode = [](const std::string& bytes, const char* errors) {
    return py::bytes(bytes).attr("decode")("utf-8", errors);
  };
  for (const auto& [key, value] : error.details) {
    if (const auto* text = std::get_if<std::string>(&value)) details[key.c_str()] = decode(*text, "surrogateescape");
    else std::visit([&, name = key](const auto& v) { details[name.c_str()] = v; }, value);
  }
  py::object hint = error.hint.empty() ? py::object(py::none()) : py::object(decode(error.hint, "backslashreplace"));
  py::object raised =
      type(decode(without_controls(error.message), "backslashreplace"), py::arg("hint") = hint, **details);
  PyErr_SetObject(type.ptr(), raised.ptr());
}

py::object to_python(const Json& json) {
  if (const auto* members = json.object()) {
    py::dict out;
    for (const JsonMember& member : *members) out[py::str(member.key)] = to_python(member.value);
    return out;
  }
  if (const auto* values = json.array()) {
    py::list out;
    for (const Json& value : *values) out.append(to_python(value));
    return out;
  }
  if (const auto* text = json.string()) return py::str(*text);
  if (const auto flag = json.boolean()) return py::bool_(*flag);
  if (const auto integer = json.integer()) return py::int_(*integer);
  if (const auto real = json.number()) return py::float_(*real);
  return py::none();
}

}  // namespace

void bind_base(py::module_& m) {
  m.def(
      "targets", [] { return machine().targets; }, "CPU targets that this machine runs, best first.");
  m.def(
      "cpu", [] { return machine().cpu; }, "The CPU's model name.");
  m.def(
      "cores", [] { return machine().cores; }, "Cores this process may use.");
  m.def(
      "default_target", [] { return default_target(); }, "The CPU target in use: the best, or CUTAWAY_TARGET.");
  m.def(
      "parse_json",
      [](const py::bytes& text, size_t depth, size_t values) {
        return to_python(parse_json(std::string_view(text), "text", "ModelFormatError",
                                    {.bytes = size_t{1} << 28, .depth = depth, .values = values}));
      },
      py::arg("text"), py::arg("depth") = JsonLimits{}.depth, py::arg("values") = JsonLimits{}.values,
      "The value of a JSON text as the readers of files take it: strictly, within caps.");
}

}  // namespace cutaway

PYBIND11_MODULE(_core, m) {
  m.attr("__version__") = CUTAWAY_VERSION;
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const cutaway::Error& error) {
      cutaway::raise(error);
    } catch (const std::logic_error& error) {  // length_error, out_of_range: a bound of ours that did not hold
      cutaway::raise(cutaway::Error("InternalError", error.what()));
    } catch (const std::bad_alloc&) {
      cutaway::raise(cutaway::Error("AllocationFailed", "the operating system refused memory",
                                    "close other models or use a shorter n_ctx"));
    }
  });
  cutaway::bind_base(m);
  cutaway::bind_load(m);
  cutaway::bind_text(m);
  cutaway::bind_kernels(m);
  cutaway::bind_formats(m);
  cutaway::bind_run(m);
  cutaway::bind_sample(m);
}
