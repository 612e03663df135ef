// Tokenizers and UTF-8 streams for Python; cutaway/text.py gives them their manners.
#include <pybind11/functional.h>

#include "base/error.h"
#include "bind/bind.h"
#include "load/file.h"
#include "text/nfc.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/utf8_stream.h"

namespace py = pybind11;

namespace cutaway {
namespace {

using Ids = py::array_t<int32_t, py::array::c_style>;

// The bytes of a str or bytes. A str with half a surrogate pair has none: InvalidUtf8, with the byte it would begin at.
std::string_view text_bytes(const py::handle& text, const char* who) {
  char* data;
  Py_ssize_t size;
  if (PyBytes_Check(text.ptr())) {
    PyBytes_AsStringAndSize(text.ptr(), &data, &size);
    return {data, static_cast<size_t>(size)};
  }
  if (!PyUnicode_Check(text.ptr()))
    throw Error("ArgumentError",
                std::string(who) + ": text is a " + Py_TYPE(text.ptr())->tp_name + ", expected str or bytes");
  if (const char* utf8 = PyUnicode_AsUTF8AndSize(text.ptr(), &size)) return {utf8, static_cast<size_t>(size)};
  py::error_already_set error;
  const py::object before = text[py::slice(0, error.value().attr("start").cast<py::ssize_t>(), 1)];
  const int64_t index = static_cast<int64_t>(py::len(before.attr("encode")("utf-8")));
  throw Error("InvalidUtf8",
              std::string(who) + ": the text has half a surrogate pair at byte " + std::to_string(index) +
                  ", which no UTF-8 can hold",
              "", {{"index", index}});
}

std::span<const int32_t> span_of(const Ids& ids) {
  if (ids.ndim() != 1) throw Error("ShapeError", "ids have " + std::to_string(ids.ndim()) + " axes, expected one");
  return {ids.data(), static_cast<size_t>(ids.size())};
}

py::object optional_id(int32_t id) { return id < 0 ? py::object(py::none()) : py::object(py::int_(id)); }

py::bytes as_bytes(std::string_view bytes) { return py::bytes(bytes.data(), bytes.size()); }

Ids to_array(const std::vector<int32_t>& ids) { return Ids(static_cast<py::ssize_t>(ids.size()), ids.data()); }

Encoded encode(const Tokenizer& tokenizer, const py::object& text, bool parse_special, bool add_bos,
               int64_t max_tokens) {
  const std::string_view bytes = text_bytes(text, "encode");
  const EncodeOptions options{parse_special, add_bos, max_tokens, [] {
                                py::gil_scoped_acquire python;
                                if (PyErr_CheckSignals() != 0) throw py::error_already_set();
                              }};
  py::gil_scoped_release free;
  return tokenizer.encode(bytes, options);
}

int32_t token_id(const Tokenizer& tokenizer, const py::object& text) {
  const std::string_view bytes = text_bytes(text, "token_id");
  const int32_t id = tokenizer.find(bytes);
  if (id < 0)
    throw Error("TokenNotFound", "no token reads \"" + printable(std::string(bytes)) + "\"",
                "encode() shows the tokens it is made of", {{"text", std::string(printable(std::string(bytes)))}});
  return id;
}

// The pieces that a pre-tokeniser cuts a text into.
std::vector<py::bytes> split(const std::string& pre, const py::object& text) {
  const PreTokenizer* known = find_pre_tokenizer(pre);
  if (!known)
    throw Error("UnsupportedModelError",
                "pre-tokeniser \"" + printable(pre) + "\" is not known; known are " + pre_tokenizer_names());
  const std::string_view bytes = text_bytes(text, "split");
  if (size_t at = find_invalid_utf8(bytes); at != std::string_view::npos)
    throw Error("InvalidUtf8", "the text is not valid UTF-8 at byte " + std::to_string(at), "",
                {{"index", static_cast<int64_t>(at)}});
  std::vector<py::bytes> pieces;
  split_text(known->splits, bytes, [&](std::string_view piece) { pieces.push_back(as_bytes(piece)); });
  return pieces;
}

}  // namespace

void bind_text(py::module_& m) {
  m.def("split", &split, py::arg("pre"), py::arg("text"), "The pieces a pre-tokeniser cuts a text into.");
  m.def(
      "nfc", [](const py::str& text) { return as_bytes(to_nfc(text_bytes(text, "nfc"))); }, py::arg("text"),
      "Unicode normal form C, as UTF-8.");
  m.def(
      "is_word", [](uint32_t code) { return code < 0x110000 && is_word(code); }, py::arg("code"));
  m.def(
      "char_class",
      [](uint32_t code) { return static_cast<int>(code < 0x110000 ? char_class(code) : CharClass::other); },
      py::arg("code"), "Class of a code point, numbered as in text/unicode.h.");

  py::class_<Tokenizer>(m, "Tokenizer", "Text <-> token ids, by the tables of a model file.")
      .def(py::init([](const File& file) { return Tokenizer::from_file(file); }), py::arg("file"))
      .def_static(
          "from_json",
          [](const py::object& path) {
            return Tokenizer::from_json(py::module_::import("os").attr("fsencode")(path).cast<std::string>());
          },
          py::arg("path"), "Of a tokenizer.json, or of the folder that holds it.")
      .def(
          "encode",
          [](const Tokenizer& t, const py::object& text, bool parse_special, bool add_bos, int64_t max_tokens) {
            return to_array(encode(t, text, parse_special, add_bos, max_tokens).ids);
          },
          py::arg("text"), py::arg("parse_special") = false, py::arg("add_bos") = false, py::arg("max_tokens") = -1,
          "The ids, int32 [T].")
      .def(
          "encode_bos",
          [](const Tokenizer& t, const py::object& text, bool parse_special, bool add_bos, int64_t max_tokens) {
            const Encoded encoded = encode(t, text, parse_special, add_bos, max_tokens);
            return std::make_pair(to_array(encoded.ids), encoded.bos_added);
          },
          py::arg("text"), py::arg("parse_special") = false, py::arg("add_bos") = false, py::arg("max_tokens") = -1,
          "The ids, and whether a BOS was put in front of them.")
      .def(
          "decode",
          [](const Tokenizer& t, const Ids& ids, bool skip_special, bool start) {
            return as_bytes(t.decode(span_of(ids), skip_special, start));
          },
          py::arg("ids"), py::arg("skip_special") = false, py::arg("start") = true)
      .def(
          "piece",
          [](const Tokenizer& t, int64_t id) {
            t.check_id(id, 0);
            return as_bytes(t.vocab().piece(static_cast<int32_t>(id)));
          },
          py::arg("id"))
      .def(
          "is_special",
          [](const Tokenizer& t, int64_t id) {
            t.check_id(id, 0);
            return t.vocab().special(static_cast<int32_t>(id));
          },
          py::arg("id"))
      .def("token_id", &token_id, py::arg("text"))
      .def("gguf_metadata",
           [](const Tokenizer& t) {
             std::vector<std::string> lost;
             py::dict out;
             for (const auto& [key, value] : t.gguf_metadata(&lost)) out[py::str(key)] = value;
             return std::make_pair(out, lost);
           })
      .def_property_readonly("bos_id", [](const Tokenizer& t) { return optional_id(t.vocab().bos); })
      .def_property_readonly("eos_id", [](const Tokenizer& t) { return optional_id(t.vocab().eos); })
      .def_property_readonly("eot_id", [](const Tokenizer& t) { return optional_id(t.vocab().eot); })
      .def_property_readonly("eom_id", [](const Tokenizer& t) { return optional_id(t.vocab().eom); })
      .def_property_readonly("unknown_id", [](const Tokenizer& t) { return optional_id(t.vocab().unknown); })
      .def_property_readonly("padding_id", [](const Tokenizer& t) { return optional_id(t.vocab().padding); })
      .def_property_readonly(
          "end_ids", [](const Tokenizer& t) { return std::vector<int32_t>(t.end_ids().begin(), t.end_ids().end()); })
      .def_property_readonly("add_bos", &Tokenizer::add_bos)
      .def_property_readonly("add_eos", &Tokenizer::add_eos)
      .def_property_readonly("space_prefix", &Tokenizer::space_prefix)
      .def_property_readonly("vocab_size", [](const Tokenizer& t) { return t.vocab().size(); })
      .def_property_readonly("kind", &Tokenizer::kind)
      .def_property_readonly("pre", &Tokenizer::pre)
      .def_property_readonly("n_merges", &Tokenizer::merges)
      .def_property_readonly("context_length",
                             [](const Tokenizer& t) {
                               return t.context_length() < 0 ? py::object(py::none())
                                                             : py::object(py::int_(t.context_length()));
                             })
      .def_property_readonly("chat_templates",
                             [](const Tokenizer& t) {
                               py::dict out;
                               for (const auto& [name, text] : t.chat_templates()) out[name.c_str()] = text;
                               return out;
                             })
      .def_property_readonly("chat_template", [](const Tokenizer& t) {
        for (const auto& [name, text] : t.chat_templates())
          if (name == "default") return py::object(py::str(text));
        return py::object(py::none());
      });

  py::class_<PieceStream>(m, "PieceStream", "The bytes of one token after the other.")
      .def(py::init<const Tokenizer&, bool, bool>(), py::arg("tokenizer"), py::arg("skip_special") = false,
           py::arg("start") = true, py::keep_alive<1, 2>())
      .def(
          "push", [](PieceStream& stream, int32_t id) { return as_bytes(stream.push(id)); }, py::arg("id"));

  py::class_<Utf8Stream>(m, "Utf8Stream", "Bytes in, whole characters out.")
      .def(py::init<>())
      .def(
          "push", [](Utf8Stream& stream, const py::bytes& bytes) { return stream.push(std::string_view(bytes)); },
          py::arg("bytes"))
      .def("flush", &Utf8Stream::flush)
      .def_property_readonly("pending", [](const Utf8Stream& stream) { return py::bytes(stream.pending()); });
}

}  // namespace cutaway
