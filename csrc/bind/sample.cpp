// Sampler, StopMatcher and their words for Python.
#include <cmath>
#include <random>

#include "base/error.h"
#include "bind/bind.h"
#include "run/philox.h"
#include "run/sample.h"
#include "run/stop.h"

namespace py = pybind11;

namespace cutaway {
namespace {

constexpr const char* sampler_doc = R"doc(
Chooses the next id from a row of logits.

Order: logit bias, penalties, then at temperature 0 the largest logit (ties to the lowest id), else top_k, top_p,
min_p, temperature, draw. Random numbers are Philox4x32-10 keyed by (seed, sequence, position): the same row at the
same place gives the same id, whatever was sampled before or beside it.

argument            means                                                 raises ArgumentError
temperature         0 greedy; 1e-45 the largest logit, equal ones drawn;  -1, nan, inf
                    1e30 uniform over what the filters keep
top_k               0 off; k the k largest; above the vocabulary: all     -1
top_p               0 the largest only; 1 off                             -0.1, 1.5, nan
min_p               0 off; 1 only those equal to the largest              -0.1, 1.5, nan
repetition_penalty  1 off; r divides positive logits of the history's     0, -1, nan, inf
                    ids and multiplies the others
presence_penalty    0 off; subtracted from each id in the history         nan, inf
frequency_penalty   0 off; subtracted once for each time in the history   nan, inf
penalty_last_n      ids at the history's end that the penalties see;      -2
                    -1 all, 0 none
seed                0 <= seed < 2**64; None: a fresh one, see .seed       -1, 2**64
logit_bias          {id: number added to its logit}; -inf bans the id     id outside the vocabulary, nan, inf, a ban
                                                                          on every id ("no token left to sample")
max_tokens          (check_max_tokens) 0 generates nothing; n at most n   -1, 2**63

Raises
    ArgumentError: for the values above, a bool, or what is not a number
)doc";

// Python numbers, NumPy's included; a bool is no number here.
double number(const py::handle& value, const char* name) {
  try {
    if (!py::isinstance<py::bool_>(value)) return value.cast<double>();
  } catch (const py::cast_error&) {}
  throw Error("ArgumentError", std::string(name) + " is " + std::string(py::repr(value)) + ", expected a number");
}

template <typename Integer>
Integer integer(const py::handle& value, const char* name, const char* expected) {
  try {
    if (!py::isinstance<py::bool_>(value) && !py::isinstance<py::float_>(value)) return value.cast<Integer>();
  } catch (const py::cast_error&) {}
  throw Error("ArgumentError", std::string(name) + " is " + std::string(py::repr(value)) + ", expected " + expected);
}

uint64_t seed_of(const py::object& seed) {
  if (!seed.is_none()) return integer<uint64_t>(seed, "seed", "0 <= seed < 2**64, or None for a fresh one");
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

std::vector<std::pair<int64_t, double>> biases(const py::object& logit_bias) {
  std::vector<std::pair<int64_t, double>> out;
  if (logit_bias.is_none()) return out;
  if (!py::isinstance<py::dict>(logit_bias))
    throw Error("ArgumentError", "logit_bias is " + std::string(py::repr(logit_bias)) + ", expected {id: number}");
  for (auto [id, bias] : py::reinterpret_borrow<py::dict>(logit_bias))
    out.emplace_back(integer<int64_t>(id, "logit_bias's id", "an integer"), number(bias, "logit_bias"));
  return out;
}

std::vector<int32_t> ids_of(const py::handle& history) {
  std::vector<int32_t> out;
  for (py::handle id : history) {
    const int64_t value = integer<int64_t>(id, "an id of the history", "an integer");
    // Kept outside the vocabulary, so that sample() names the index.
    out.push_back(value < 0 || value > INT32_MAX ? -1 : static_cast<int32_t>(value));
  }
  return out;
}

py::tuple sample(Sampler& self, const py::array& logits, const py::iterable& history, const py::object& sequence,
                 const py::object& position, const py::object& valid_vocab, const py::object& logprobs) {
  if (!py::isinstance<py::array_t<float>>(logits) || logits.ndim() != 1 || !(logits.flags() & py::array::c_style))
    throw Error("ShapeError",
                "logits is " + std::string(py::str(logits.dtype())) + " with " + std::to_string(logits.ndim()) +
                    " axes, expected contiguous float32 [V]",
                "pass one row: np.ascontiguousarray(logits[-1], np.float32)");
  const std::vector<int32_t> ids = ids_of(history);
  const int64_t V = logits.shape(0);
  SampleRow row{.logits = static_cast<const float*>(logits.data()),
                .V = V,
                .valid_vocab = V,
                .history = ids.data(),
                .history_length = static_cast<int64_t>(ids.size()),
                .sequence = integer<uint64_t>(sequence, "sequence", "0 <= sequence < 2**64"),
                .position = integer<uint64_t>(position, "position", "0 <= position < 2**64")};
  if (!valid_vocab.is_none()) row.valid_vocab = integer<int64_t>(valid_vocab, "valid_vocab", "an integer or None");
  if (!logprobs.is_none()) row.logprobs = integer<int64_t>(logprobs, "logprobs", "an integer or None");
  const Sampled out = self.sample(row);
  py::list top;
  for (const TokenLogprob& t : out.top) top.append(py::make_tuple(t.id, t.logprob));
  return py::make_tuple(out.id, logprobs.is_none() ? py::object(py::none()) : py::object(py::float_(out.logprob)), top);
}

// One string, or several; text is UTF-8.
std::vector<std::string> strings(const py::object& stop) {
  if (stop.is_none()) return {};
  try {
    if (py::isinstance<py::str>(stop) || py::isinstance<py::bytes>(stop)) return {stop.cast<std::string>()};
    return stop.cast<std::vector<std::string>>();
  } catch (const py::cast_error&) {
    throw Error("ArgumentError",
                "stop is " + printable(std::string(py::repr(stop))) + ", expected str, bytes or a list of them");
  }
}

}  // namespace

void bind_sample(py::module_& m) {
  py::class_<Sampler>(m, "Sampler", sampler_doc)
      .def(py::init([](const py::object& temperature, const py::object& top_k, const py::object& top_p,
                       const py::object& min_p, const py::object& repetition_penalty,
                       const py::object& presence_penalty, const py::object& frequency_penalty,
                       const py::object& penalty_last_n, const py::object& seed, const py::object& logit_bias) {
             return Sampler({.temperature = number(temperature, "temperature"),
                             .top_k = integer<int64_t>(top_k, "top_k", "an integer >= 0"),
                             .top_p = number(top_p, "top_p"),
                             .min_p = number(min_p, "min_p"),
                             .repetition_penalty = number(repetition_penalty, "repetition_penalty"),
                             .presence_penalty = number(presence_penalty, "presence_penalty"),
                             .frequency_penalty = number(frequency_penalty, "frequency_penalty"),
                             .penalty_last_n = integer<int64_t>(penalty_last_n, "penalty_last_n", "an integer >= -1"),
                             .seed = seed_of(seed),
                             .logit_bias = biases(logit_bias)});
           }),
           py::kw_only(), py::arg("temperature") = 1.0, py::arg("top_k") = 0, py::arg("top_p") = 1.0,
           py::arg("min_p") = 0.0, py::arg("repetition_penalty") = 1.0, py::arg("presence_penalty") = 0.0,
           py::arg("frequency_penalty") = 0.0, py::arg("penalty_last_n") = -1, py::arg("seed") = 0,
           py::arg("logit_bias") = py::none())
      .def_property_readonly("seed", [](const Sampler& self) { return self.options().seed; })
      .def("sample", &sample, py::arg("logits"), py::arg("history") = py::tuple(), py::kw_only(),
           py::arg("sequence") = 0, py::arg("position") = 0, py::arg("valid_vocab") = py::none(),
           py::arg("logprobs") = py::none(),
           R"doc(
(id, its logprob, the `logprobs` largest as [(id, logprob)]) from contiguous float32 logits [V].

Logprobs are of the raw logits, None when not asked for. Ids from valid_vocab on are
padding: never read or sampled.

Raises
    NonFiniteError: NaN, +inf or only -inf in logits
    ArgumentError: bias and penalties leave no token, or leave float32
    InvalidTokenId: an id of the history is not 0 <= id < V
    ShapeError: logits is not such a row
)doc");

  py::class_<StopMatcher>(m, "StopMatcher",
                          "Stop strings over a stream of bytes: str, bytes or a list of them, 1 to 65536 bytes each.")
      .def(py::init([](const py::object& stop) { return StopMatcher(strings(stop)); }), py::arg("stop"))
      .def(
          "push", [](StopMatcher& self, const py::bytes& b) { return py::bytes(self.push(std::string_view(b))); },
          py::arg("bytes"), "The bytes that are safe to emit now; nothing from the first match on.")
      .def(
          "flush", [](StopMatcher& self) { return py::bytes(self.flush()); }, "At the end: what was held back.")
      .def_property_readonly("matched", &StopMatcher::matched, "Index of the stop string that matched, or -1.");

  m.def(
      "check_max_tokens",
      [](const py::object& n) {
        const int64_t value = integer<int64_t>(n, "max_tokens", "0 <= max_tokens < 2**63");
        if (value < 0) throw Error("ArgumentError", "max_tokens is " + std::to_string(value) + ", expected >= 0");
        return value;
      },
      py::arg("max_tokens"), "max_tokens as an int; see the table of Sampler.");
  m.def("philox4x32", &philox4x32, py::arg("counter"), py::arg("key"), "Four random words: Philox4x32-10.");
  m.def("uniform_at", &uniform_at, py::arg("seed"), py::arg("sequence"), py::arg("position"),
        "The number in [0, 1) that draws the token at this place.");
}

}  // namespace cutaway
