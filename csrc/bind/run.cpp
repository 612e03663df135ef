// Models, graphs and sessions for Python. Graphs cross as plain dicts, tensors as NumPy arrays that own their memory.
#include <pybind11/functional.h>

#include <atomic>

#include "base/error.h"
#include "base/machine.h"
#include "bind/bind.h"
#include "formats/f16/f16.h"
#include "formats/f32/f32.h"
#include "formats/packed.h"
#include "quantize_q8/quantize_q8.h"
#include "run/session.h"

namespace py = pybind11;

namespace cutaway {
namespace {

// --- graphs as dicts
// --------------------------------------------------------------------------------------------------

py::dict to_python(const WeightRef& ref) {
  py::list shape;
  for (int i = 0; i < ref.shape.rank; ++i) shape.append(ref.shape[i]);
  return py::dict(py::arg("tensor") = ref.tensor, py::arg("shape") = shape, py::arg("first_row") = ref.first_row,
                  py::arg("rows") = ref.rows, py::arg("heads") = ref.heads);
}

py::dict to_python(const Attributes& attributes) {
  py::dict out;
  for (const auto& [name, value] : attributes) out[name.c_str()] = value;
  return out;
}

py::dict to_python(const Stage& s);
py::dict to_python(const Executed& e);

template <class T>
py::list to_list(const std::vector<T>& items) {
  py::list out;
  for (const T& item : items) out.append(to_python(item));
  return out;
}

py::dict to_python(const Stage& s) {
  return py::dict(py::arg("name") = s.name, py::arg("op") = s.op, py::arg("reads") = s.reads,
                  py::arg("weights") = to_list(s.weights), py::arg("attributes") = to_python(s.attributes),
                  py::arg("shape") = s.shape, py::arg("axes") = s.axes, py::arg("cache") = s.cache,
                  py::arg("layer") = s.layer);
}

py::dict to_python(const Graph& g) {
  return py::dict(py::arg("arch") = g.arch, py::arg("L") = g.L, py::arg("V") = g.V, py::arg("kv_width") = g.kv_width,
                  py::arg("stages") = to_list(g.stages), py::arg("constants") = g.constants,
                  py::arg("aliases") = g.aliases, py::arg("long_context") = g.long_context);
}

WeightRef weight_from(const py::dict& d) {
  WeightRef ref{.tensor = d["tensor"].cast<std::string>(),
                .shape = {},
                .first_row = d["first_row"].cast<int64_t>(),
                .rows = d["rows"].cast<int64_t>(),
                .heads = d["heads"].cast<int64_t>()};
  for (auto axis : d["shape"]) {
    if (ref.shape.rank == 4) throw Error("ArgumentError", "a weight has at most 4 axes");
    ref.shape[ref.shape.rank++] = axis.cast<int64_t>();
  }
  const bool inside = ref.tensor.empty() || (ref.first_row >= 0 && ref.rows >= 1 && ref.shape.rank >= 1 &&
                                             ref.rows <= ref.shape[0] - ref.first_row);
  if (!inside)
    throw Error("ArgumentError", "weight " + printable(ref.tensor) + ": rows [" + std::to_string(ref.first_row) +
                                     ", +" + std::to_string(ref.rows) + ") are not inside " + ref.shape.str());
  if (ref.heads < 0 || (ref.heads && (ref.rows % ref.heads || ref.rows / ref.heads % 2)))
    throw Error("ArgumentError", "weight " + printable(ref.tensor) + ": " + std::to_string(ref.rows) +
                                     " rows cannot be halved in " + std::to_string(ref.heads) + " heads");
  return ref;
}

Graph graph_from(const py::dict& d) {
  Graph g;
  g.arch = d["arch"].cast<std::string>();
  g.L = d["L"].cast<int64_t>();
  g.V = d["V"].cast<int64_t>();
  g.kv_width = d["kv_width"].cast<int64_t>();
  g.constants = d["constants"].cast<std::map<std::string, std::vector<double>>>();
  g.aliases = d["aliases"].cast<std::map<std::string, std::string>>();
  g.long_context = d["long_context"].cast<int64_t>();
  for (auto item : d["stages"]) {
    auto s = item.cast<py::dict>();
    Stage stage{.name = s["name"].cast<std::string>(),
                .op = s["op"].cast<std::string>(),
                .reads = s["reads"].cast<std::vector<std::string>>(),
                .weights = {},
                .attributes = {},
                .shape = s["shape"].cast<std::vector<int64_t>>(),
                .axes = s["axes"].cast<std::string>(),
                .cache = s["cache"].cast<std::string>(),
                .layer = s["layer"].cast<int>()};
    for (auto w : s["weights"]) stage.weights.push_back(weight_from(w.cast<py::dict>()));
    for (auto [key, value] : s["attributes"].cast<py::dict>())
      stage.attributes.emplace_back(key.cast<std::string>(), value.cast<double>());
    g.stages.push_back(std::move(stage));
  }
  return g;
}

// --- arrays
// -------------------------------------------------------------------------------------------------------------

template <class T>
py::array_t<T> owned(std::vector<T>&& data, const std::vector<int64_t>& shape) {
  auto* moved = new std::vector<T>(std::move(data));
  py::capsule keep(moved, [](void* p) { delete static_cast<std::vector<T>*>(p); });
  return py::array_t<T>(shape, moved->data(), keep);
}

py::array_t<float> owned(Floats&& data, const std::vector<int64_t>& shape) {
  auto* moved = new Floats(std::move(data));
  py::capsule keep(moved, [](void* p) { delete static_cast<Floats*>(p); });
  return py::array_t<float>(shape, moved->data(), keep);
}

// What a call captured. Arrays are made when they are asked for, and lie in here: a token of decoding that nobody looks
// at costs its copies.
struct Captures {
  std::vector<Capture> all;

  static py::dict at(const py::object& self, int64_t i) {
    auto& captures = self.cast<Captures&>();
    if (i < 0 || i >= static_cast<int64_t>(captures.all.size())) throw py::index_error();
    Capture& c = captures.all[static_cast<size_t>(i)];
    std::vector<int64_t> shape = c.shape;
    if (!c.positions.empty()) shape = {static_cast<int64_t>(c.data.size())};
    py::array data = py::array_t<float>(shape, c.data.data(), self);
    if (c.integers) data = data.attr("view")("int32");
    return py::dict(py::arg("name") = c.name, py::arg("shape") = c.shape, py::arg("q8") = c.q8,
                    py::arg("tokens") = c.tokens, py::arg("positions") = c.positions, py::arg("data") = data);
  }
  py::list names() const {
    py::list out;
    for (const Capture& c : all) out.append(c.name);
    return out;
  }
};

py::dict to_python(const Executed& e) {
  return py::dict(py::arg("stage") = e.writes, py::arg("op") = e.op, py::arg("target") = e.target,
                  py::arg("reads") = e.reads, py::arg("weights") = to_list(e.weights),
                  py::arg("attributes") = to_python(e.attributes), py::arg("covers") = e.covers,
                  py::arg("seconds") = e.seconds, py::arg("busy") = e.busy);
}

// A session that one thread at a time may use, and that may be closed.
struct BoundSession {
  std::unique_ptr<Session> it;
  std::atomic<bool> busy{false};

  struct Lock {
    BoundSession& s;
    explicit Lock(BoundSession& session) : s(session) {
      if (s.busy.exchange(true)) throw Error("SessionBusyError", "the session is running another call");
      if (!s.it) {
        s.busy = false;
        throw Error("SessionClosedError", "the session was closed");
      }
    }
    ~Lock() { s.busy = false; }
  };
};

std::vector<std::vector<int32_t>> token_lists(const std::vector<py::array_t<int32_t, py::array::c_style>>& arrays) {
  std::vector<std::vector<int32_t>> out;
  for (const auto& a : arrays) out.emplace_back(a.data(), a.data() + a.size());
  return out;
}

py::dict forward(BoundSession& bound, const std::vector<py::array_t<int32_t, py::array::c_style>>& tokens,
                 std::vector<std::string> watch, std::vector<std::string> edit, const py::object& hook, bool all_rows,
                 const std::string& stop_after, bool check_finite, bool chain, bool record,
                 std::vector<std::vector<int64_t>> keep) {
  BoundSession::Lock lock(bound);
  Request request{.watch = std::move(watch),
                  .edit = std::move(edit),
                  .keep = std::move(keep),
                  .hook = {},
                  .checkpoint = {},
                  .stop_after = stop_after,
                  .all_rows = all_rows,
                  .check_finite = check_finite,
                  .chain = chain,
                  .record = record};
  request.hook = [&](Capture& c) {
    py::gil_scoped_acquire gil;
    std::vector<int64_t> shape = c.shape;
    if (!c.positions.empty()) shape = {static_cast<int64_t>(c.data.size())};
    // The hook gets a copy: it may keep it, and what it leaves in it comes back only if it is valid.
    py::array_t<float> data(shape);
    std::memcpy(data.mutable_data(), c.data.data(), c.data.size() * sizeof(float));
    py::array shown = c.integers ? py::array(data.attr("view")("int32")) : py::array(data);
    py::object changed = hook(c.name, c.shape, c.tokens, c.positions, shown, c.kernel, c.first);
    if (changed.is_none()) return false;
    auto values = changed.cast<py::array>();
    const bool fits = static_cast<size_t>(values.size()) == c.data.size() && values.itemsize() == sizeof(float) &&
                      (values.dtype().kind() == 'i') == c.integers && values.flags() & py::array::c_style;
    invariant(fits, "a hook's result has the size and the type of its stage");
    std::memcpy(c.data.data(), values.data(), c.data.size() * sizeof(float));
    return true;
  };
  request.checkpoint = [] {
    py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals()) throw py::error_already_set();
  };
  Result result;
  auto lists = token_lists(tokens);
  {
    py::gil_scoped_release release;
    result = bound.it->forward(lists, request);
  }
  auto captures = std::make_unique<Captures>();
  captures->all = std::move(result.captures);
  const int64_t width = result.rows ? static_cast<int64_t>(result.logits.size()) / result.rows : 0;
  return py::dict(py::arg("logits") = owned(std::move(result.logits), {result.rows, width}),
                  py::arg("captures") = std::move(captures), py::arg("executed") = to_list(result.executed));
}

// One stage alone, on given inputs, with the kernel this model would use. A read with an S axis or from the cache is of
// one sequence.
py::array run_stage(const Model& model, const py::dict& stage, const std::vector<py::array>& reads,
                    std::vector<int64_t> shape) {
  Backend& backend = *model.backend;
  const Op* op = find_op(stage["op"].cast<std::string>());
  if (!op) throw Error("ArgumentError", "there is no op " + stage["op"].cast<std::string>());
  const auto name = stage["name"].cast<std::string>();
  struct Memory {
    Backend& backend;
    std::vector<std::pair<void*, size_t>> list;
    ~Memory() {
      for (auto [p, n] : list) backend.release(p, n);
    }
    void* get(size_t bytes) {
      list.emplace_back(backend.allocate(std::max<size_t>(bytes, 64)), std::max<size_t>(bytes, 64));
      return list.back().first;
    }
  } memory{backend, {}};
  std::vector<Tensor> arguments, weights;
  for (const py::array& a : reads) {
    if (!(a.flags() & py::array::c_style)) throw Error("ShapeError", name + ": an input is not C-contiguous");
    Tensor t{.data = memory.get(static_cast<size_t>(a.nbytes())), .format = &format_f32, .shape = {}};
    for (py::ssize_t i = 0; i < a.ndim() && i < 4; ++i) t.shape[t.shape.rank++] = a.shape(i);
    if (a.dtype().kind() == 'i') t.format = nullptr;
    else if (a.itemsize() == 2) t.format = &format_f16;
    else if (a.itemsize() == sizeof(BlockQ8)) t.layout = Layout::q8;
    backend.upload(t.data, a.data(), static_cast<size_t>(a.nbytes()));
    arguments.push_back(t);
  }
  size_t argument = 0;
  for (auto w : stage["weights"]) weights.push_back(model.weight(*op, argument++, weight_from(w.cast<py::dict>())));
  Attributes attributes;
  for (auto [key, value] : stage["attributes"].cast<py::dict>())
    attributes.emplace_back(key.cast<std::string>(), value.cast<double>());
  Shape out_shape;
  for (int64_t axis : shape) out_shape[out_shape.rank++] = axis;
  std::vector<float> out(static_cast<size_t>(out_shape.elements()));
  Tensor y{.data = memory.get(out.size() * sizeof(float)),
           .format = op->integers ? nullptr : &format_f32,
           .shape = out_shape};
  backend.run(*op, {.who = name, .reads = arguments, .weights = weights, .out = y, .attributes = &attributes});
  backend.download(out.data(), y.data, out.size() * sizeof(float));
  py::array result = owned(std::move(out), shape);
  return op->integers ? py::array(result.attr("view")("int32")) : result;
}

py::dict config_dict(const Config& c) {
  return py::dict(py::arg("arch") = c.arch, py::arg("name") = c.name, py::arg("L") = c.L, py::arg("D") = c.D,
                  py::arg("H") = c.H, py::arg("G") = c.G, py::arg("E") = c.E, py::arg("F") = c.F, py::arg("V") = c.V,
                  py::arg("context") = c.context, py::arg("eps") = c.eps, py::arg("rope_base") = c.rope.base,
                  py::arg("rope_width") = c.rope.width, py::arg("window") = c.window, py::arg("windowed") = c.windowed,
                  py::arg("experts") = c.experts, py::arg("experts_used") = c.experts_used,
                  py::arg("expert_F") = c.expert_F);
}

py::array cache_array(const Session& s, int64_t sequence, int64_t layer, bool values) {
  std::vector<std::byte> bytes;
  const int64_t first = s.read_cache(sequence, layer, values, bytes);
  const bool half = s.kv.payload == Payload::f16;
  py::array out(half ? py::dtype("float16") : py::dtype("float32"),
                std::vector<int64_t>{s.length(sequence) - first, s.model->config.G, s.model->config.E});
  std::memcpy(out.mutable_data(), bytes.data(), bytes.size());
  return out;
}

}  // namespace

void bind_run(py::module_& m) {
  m.def("architectures", [] {
    std::vector<std::string> names;
    for (const Architecture* arch : architectures()) names.push_back(arch->name);
    return names;
  });
  m.def("read_config", [](std::shared_ptr<File> file) { return config_dict(read_config(*file)); });
  m.def(
      "read_graph", [](std::shared_ptr<File> file) { return to_python(build_graph(read_config(*file), *file)); },
      "The graph of a file's model, without reading its weights.");

  m.def(
      "arena_floats",
      [](std::shared_ptr<File> file, bool exact) {
        const auto takes_q8 = [&](const WeightRef& ref) {
          const TensorInfo* tensor = file->find(ref.tensor);
          return !exact && tensor && tensor->format && has_codes(*tensor->format);
        };
        return make_plan(build_graph(read_config(*file), *file), {takes_q8}).arena_floats;
      },
      py::arg("file"), py::arg("exact"), "Floats per token of the stages' tensors on the CPU, of a file's model.");

  py::class_<Model, std::shared_ptr<Model>>(m, "Model")
      .def(py::init([](std::shared_ptr<File> file, const std::string& target, int threads, bool exact,
                       const std::string& device) {
             py::gil_scoped_release release;
             return std::make_shared<Model>(file, backend_for(device, target, threads), exact);
           }),
           py::arg("file"), py::arg("target") = "", py::arg("threads") = 0, py::arg("exact") = false,
           py::arg("device") = "cpu")
      .def(
          "fault", [](const Model& model) { fault_cuda_device(*model.backend); },
          "For tests, in a process of their own: breaks the model's CUDA device as a faulty kernel would.")
      .def_property_readonly("graph", [](const Model& model) { return to_python(model.graph); })
      .def_property_readonly("config", [](const Model& model) { return config_dict(model.config); })
      .def_property_readonly("backend", [](const Model& model) { return model.backend->name(); })
      .def_property_readonly("exact", [](const Model& model) { return model.exact; })
      .def("with_graph",
           [](const Model& model, const py::dict& graph) {
             return std::const_pointer_cast<Model>(model.with_graph(graph_from(graph)));
           })
      .def("run_stage", run_stage, py::arg("stage"), py::arg("reads"), py::arg("shape"))
      .def("steps",
           [](const Model& model) {
             py::list out;
             const Plan& plan = model.program({}).plan;
             for (const Step& step : plan.steps) {
               std::vector<std::string> covers;
               for (int i : step.covers) covers.push_back(model.graph.stages[static_cast<size_t>(i)].name);
               out.append(py::dict(py::arg("stage") = step.writes, py::arg("op") = step.op->name,
                                   py::arg("target") = model.backend->target_of(*step.op),
                                   py::arg("reads") = step.reads, py::arg("weights") = to_list(step.weights),
                                   py::arg("attributes") = to_python(step.attributes), py::arg("covers") = covers,
                                   py::arg("same") = plan.same.count(step.writes) ? plan.owner(step.writes) : ""));
             }
             return out;
           })
      .def("arena_floats", [](const Model& model) { return model.program({}).plan.arena_floats; })
      .def("weights", [](const Model& model) {
        py::list out;
        for (const auto& entry : model.weights().entries())
          out.append(py::dict(py::arg("weight") = to_python(entry.ref), py::arg("bytes") = entry.bytes,
                              py::arg("format") = entry.tensor.format ? entry.tensor.format->name : "f64"));
        return out;
      });

  py::class_<Captures>(m, "Captures")
      .def("__len__", [](const Captures& c) { return c.all.size(); })
      .def("__getitem__", &Captures::at, py::arg("i"), "name, shape, tokens, positions and data of one tensor.")
      .def("names", &Captures::names);

  py::class_<BoundSession, std::shared_ptr<BoundSession>>(m, "Session")
      .def(py::init([](std::shared_ptr<Model> model, int64_t n_ctx, const std::string& kv, int64_t sequences) {
             if (kv != "f16" && kv != "f32")
               throw Error("ArgumentError", "kv is " + printable(kv) + ", expected f16 or f32");
             auto out = std::make_shared<BoundSession>();
             out->it = std::make_unique<Session>(model, n_ctx, kv == "f16" ? format_f16 : format_f32, sequences);
             return out;
           }),
           py::arg("model"), py::arg("n_ctx"), py::arg("kv") = "f16", py::arg("sequences") = 1)
      .def("forward", forward, py::arg("tokens"), py::arg("watch") = std::vector<std::string>{},
           py::arg("edit") = std::vector<std::string>{}, py::arg("hook") = py::none(), py::arg("all_rows") = false,
           py::arg("stop_after") = "", py::arg("check_finite") = false, py::arg("chain") = false,
           py::arg("record") = false, py::arg("keep") = std::vector<std::vector<int64_t>>{})
      .def(
          "length", [](BoundSession& s, int64_t i) { return BoundSession::Lock(s).s.it->length(i); },
          py::arg("sequence") = 0)
      .def(
          "rewind", [](BoundSession& s, int64_t i, int64_t length) { BoundSession::Lock(s).s.it->rewind(i, length); },
          py::arg("sequence"), py::arg("length"))
      .def(
          "fork", [](BoundSession& s, int64_t i) { return BoundSession::Lock(s).s.it->fork(i); },
          py::arg("sequence") = 0)
      .def(
          "cache",
          [](BoundSession& s, int64_t i, int64_t layer, bool values) {
            return cache_array(*BoundSession::Lock(s).s.it, i, layer, values);
          },
          py::arg("sequence"), py::arg("layer"), py::arg("values"),
          "Keys or values so far: [length, G, E]; of a layer with a window, those that it keeps.")
      .def("cache_bytes", [](BoundSession& s) { return BoundSession::Lock(s).s.it->cache_bytes(); })
      .def("workspace_bytes", [](BoundSession& s) { return BoundSession::Lock(s).s.it->workspace_bytes(); })
      .def("sequences", [](BoundSession& s) { return BoundSession::Lock(s).s.it->sequences(); })
      .def("close", [](BoundSession& s) {
        if (s.busy.exchange(true)) throw Error("SessionBusyError", "the session is running another call");
        s.it.reset();
        s.busy = false;
      });
}

}  // namespace cutaway
