// The table of formats, and one format's unpacking on the CPU: what tests and cutaway.formats call.
#include "formats/packed.h"

#include "base/error.h"
#include "bind/bind.h"

namespace py = pybind11;

namespace cutaway {
namespace {

const char* payload_name(Payload payload) {
  switch (payload) {
    case Payload::f32:
      return "f32";
    case Payload::f16:
      return "f16";
    case Payload::bf16:
      return "bf16";
    case Payload::codes:
      return "codes";
  }
  return "";
}

py::list list_formats() {
  py::list out;
  for (const Format* f : formats()) {
    py::object table = py::none();
    const int64_t columns = has_codes(*f) ? cell_of(f->packing).columns : 1;
    if (f->table) table = py::cast(std::vector<int>(f->table, f->table + 16));
    out.append(py::dict(py::arg("name") = f->name, py::arg("gguf_id") = f->gguf_id, py::arg("block") = f->block,
                        py::arg("block_bytes") = f->block_bytes, py::arg("payload") = payload_name(f->payload),
                        py::arg("code_bits") = f->packing.bits, py::arg("group") = f->packing.group,
                        py::arg("offset") = f->packing.offset, py::arg("table") = table,
                        py::arg("minimums") = f->packing.minimums, py::arg("cell") = columns,
                        py::arg("cell_bytes") = strip_bytes(*f, columns)));
  }
  return out;
}

const Format& format_named(const std::string& name) {
  if (const Format* f = find_format(name)) return *f;
  std::string known;
  for (const Format* f : formats()) known += (known.empty() ? "" : ", ") + std::string(f->name);
  throw Error("ArgumentError", "format: got \"" + printable(name) + "\", expected one of " + known);
}

// raw: uint8 [rows, row_bytes] -> float32 [rows, n]
py::array_t<float> unpack(const std::string& name, const py::array& raw, int64_t n) {
  const Format& f = format_named(name);
  const std::string who = "unpack(" + name + "): ";
  if (!py::isinstance<py::array_t<uint8_t>>(raw))
    throw Error("ArgumentError", who + "raw is " + py::str(raw.dtype()).cast<std::string>() + ", expected uint8",
                "pass the stored bytes: array.view(np.uint8)");
  if (raw.ndim() != 2)
    throw Error("ShapeError", who + "raw has " + std::to_string(raw.ndim()) + " axes, expected 2: [rows, row_bytes]");
  if (n < 0 || n % f.block != 0)
    throw Error("ShapeError", who + "n is " + std::to_string(n) + ", expected a multiple of " +
                                  std::to_string(f.block) + ", the elements of a block");
  if (raw.shape(1) % f.block_bytes != 0 || raw.shape(1) / f.block_bytes != n / f.block)
    throw Error("ShapeError", who + "rows of raw have " + std::to_string(raw.shape(1)) + " bytes, expected " +
                                  std::to_string(n / f.block) + " blocks of " + std::to_string(f.block_bytes) +
                                  " for n = " + std::to_string(n));
  const py::array_t<uint8_t, py::array::c_style> rows(raw);  // copies only what is not contiguous
  py::array_t<float> out({raw.shape(0), static_cast<py::ssize_t>(n)});
  const uint8_t* from = rows.data();
  float* to = out.mutable_data();
  const int64_t count = raw.shape(0), bytes = raw.shape(1);
  py::gil_scoped_release release;
  for (int64_t row = 0; row < count; ++row) f.unpack_row(from + row * bytes, to + row * n, n);
  return out;
}

}  // namespace

void bind_formats(py::module_& m) {
  m.def("formats", list_formats, "Every format the core reads, as a list of dicts.");
  m.def("unpack", unpack, py::arg("format"), py::arg("raw"), py::arg("n"),
        "Stored rows, uint8 [rows, row_bytes], to float32 [rows, n].");
}

}  // namespace cutaway
