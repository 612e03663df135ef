#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "formats/format.h"
#include "run/forward.h"

namespace cutaway {

Capture Forward::copy_out(int i, int64_t rows, bool beside) {
  Capture out = described(i, rows);
  const auto floats = static_cast<size_t>(size_of(i, rows));
  backend.download(out.data.grow(floats), address(i, rows, beside), floats * sizeof(float));
  return out;
}

Capture Forward::described(int i, int64_t rows) const {
  const Slot& of = slot(slot(i).owner);
  Capture out{.name = slot(i).name, .slot = i, .shape = of.shape, .q8 = of.q8, .integers = of.integers};
  for (int64_t& axis : out.shape)
    if (axis == kTokens) axis = rows;
  for (const Part& part : parts) {
    out.tokens.push_back(rows == T ? part.tokens : 1);
    out.first.push_back(part.past + part.tokens - out.tokens.back());
    out.sequences.push_back(part.sequence);
    if (of.square) out.positions.push_back(seen(part, of.layer));
  }
  return out;
}

void Forward::take(int i, int64_t rows, bool beside) {
  Capture now = described(i, rows);
  auto found =
      std::find_if(result.captures.begin(), result.captures.end(), [&](const Capture& c) { return c.slot == i; });
  if (found == result.captures.end()) {
    Capture first = now;
    first.shape[0] = 0;
    first.tokens.clear();
    first.sequences.clear();
    const size_t all = wanted.floats[static_cast<size_t>(i)];
    if (all) first.data = Floats(wanted.slab->take(all), all);
    result.captures.push_back(std::move(first));
    found = result.captures.end() - 1;
  }
  Capture& to = *found;
  const Slot& of = slot(slot(i).owner);
  const float* from = address(i, rows, beside);
  if (request.keep.empty()) {
    const auto floats = static_cast<size_t>(size_of(i, rows));
    backend.download(to.data.grow(floats), from, floats * sizeof(float));
  }
  for (size_t p = 0; p < parts.size(); ++p) {
    const Part& part = parts[p];
    if (!request.keep.empty()) {
      const std::vector<int64_t>& keep = request.keep[part.sequence];
      const int64_t width = of.square ? per_token(of.shape, seen(part, of.layer)) : of.width, n = now.tokens[p],
                    first = part.sent + part.tokens - n;
      auto at = std::lower_bound(keep.begin(), keep.end(), first);
      const auto end = std::lower_bound(at, keep.end(), first + n);
      now.tokens[p] = end - at;
      while (at != end) {  // neighbours go together
        const int64_t begin = *at;
        int64_t count = 1;
        while (++at != end && *at == begin + count) ++count;
        const auto floats = static_cast<size_t>(count * width);
        backend.download(to.data.grow(floats), from + (begin - first) * width, floats * sizeof(float));
      }
      from += n * width;
    }
    // Chunks of a long prompt come one after the other.
    to.shape[0] += now.tokens[p];
    if (!to.sequences.empty() && to.sequences.back() == part.sequence) {
      to.tokens.back() += now.tokens[p];
    } else {
      to.sequences.push_back(part.sequence);
      to.tokens.push_back(now.tokens[p]);
    }
  }
}

void Forward::check_finite(int i, const Capture& tensor, const Instruction& use, const char* target) {
  if (tensor.q8 || tensor.integers) return;
  const bool scores = !tensor.positions.empty();
  const std::string& name = slot(i).name;
  const int64_t width = tensor.shape.empty() || scores
                            ? 1
                            : static_cast<int64_t>(tensor.data.size()) / std::max<int64_t>(1, tensor.shape[0]);
  for (size_t at = 0; at < tensor.data.size(); ++at) {
    const float x = tensor.data[at];
    if (std::isfinite(x) || (scores && x == -HUGE_VALF)) continue;
    const std::string kernel = std::string(use.op->name) + "/" + target;
    throw Error("NonFiniteError",
                name + " has " + (std::isnan(x) ? "NaN" : "infinity") + " at token " +
                    std::to_string(static_cast<int64_t>(at) / width) + ", channel " +
                    std::to_string(static_cast<int64_t>(at) % width) + ", from " + kernel +
                    "; every stage before it is finite",
                wanted.edited[static_cast<size_t>(i)] ? "a hook changed this stage: look there"
                                                      : "look at this stage's weights and inputs",
                {{"stage", name},
                 {"kernel", kernel},
                 {"layer", int64_t{slot(i).layer}},
                 {"token", static_cast<int64_t>(at) / width},
                 {"channel", static_cast<int64_t>(at) % width}});
  }
}

// Hooks, finite check, capture, cache. Returns whether a hook changed the tensor.
bool Forward::settle(const Instruction& use, const char* target, bool beside, size_t step) {
  const auto i = static_cast<size_t>(use.writes);
  if (!wanted.touched[i]) return false;
  const int64_t rows = rows_at(step);
  bool changed = false;
  if (wanted.edited[i]) {
    Capture tensor = copy_out(use.writes, rows, beside);
    tensor.kernel = std::string(use.op->name) + "/" + target;
    changed = request.hook(tensor);
    if (changed)
      backend.upload(address(use.writes, rows, beside), tensor.data.data(), tensor.data.size() * sizeof(float));
  }
  if (request.check_finite) check_finite(use.writes, copy_out(use.writes, rows, beside), use, target);
  if (wanted.watched[i]) take(use.writes, rows, beside);
  if (slot(use.writes).kept != Kept::no) store(slot(use.writes), address(use.writes, rows, beside));
  return changed;
}

void Forward::store(const Slot& of, const float* rows) {
  const int64_t width = model.config.G * model.config.E;
  for (const Part& part : parts) {
    std::byte* to = session.sequences_[part.sequence].row(of.layer, of.kept == Kept::values, part.past);
    if (session.kv.payload == Payload::f16) backend.copy_as_f16(to, rows + part.row * width, part.tokens * width);
    else backend.copy(to, rows + part.row * width, static_cast<size_t>(part.tokens * width) * sizeof(float));
  }
}

}  // namespace cutaway
