#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "formats/format.h"
#include "run/forward.h"

namespace cutaway {

Capture Forward::copy_out(const std::string& name, int64_t rows, bool beside) {
  Capture out = described(name, rows);
  out.data.resize(static_cast<size_t>(size_of(name, rows)));
  backend.download(out.data.data(), address(name, rows, beside), out.data.size() * sizeof(float));
  return out;
}

Capture Forward::described(const std::string& name, int64_t rows) const {
  const std::vector<int64_t>& shape = shape_of(plan.owner(name));
  auto it = plan.places.find(name);
  Capture out{.name = name, .shape = shape};
  if (it != plan.places.end()) out.q8 = it->second.q8, out.integers = it->second.integers;
  for (int64_t& axis : out.shape)
    if (axis == kTokens) axis = rows;
  for (const Part& part : parts) {
    out.tokens.push_back(rows == T ? part.tokens : 1);
    out.first.push_back(part.past + part.tokens - out.tokens.back());
    out.sequences.push_back(part.sequence);
    if (is_square(shape)) out.positions.push_back(seen(part, layer_of(name)));
  }
  return out;
}

// Only the rows that request.keep names.
Capture Forward::copy_kept(const std::string& name, int64_t rows, bool beside) {
  if (request.keep.empty()) return copy_out(name, rows, beside);
  Capture out = described(name, rows);
  const std::vector<int64_t>& shape = shape_of(plan.owner(name));
  const float* from = address(name, rows, beside);
  out.shape[0] = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    const std::vector<int64_t>& keep = request.keep[part.sequence];
    const int64_t width = per_token(shape, is_square(shape) ? seen(part, layer_of(name)) : 0), n = out.tokens[i],
                  first = part.sent + part.tokens - n;
    auto at = std::lower_bound(keep.begin(), keep.end(), first);
    const auto end = std::lower_bound(at, keep.end(), first + n);
    out.tokens[i] = end - at;
    while (at != end) {  // neighbours go together
      const int64_t begin = *at;
      int64_t count = 1;
      while (++at != end && *at == begin + count) ++count;
      const size_t have = out.data.size(), more = static_cast<size_t>(count * width);
      out.data.resize(have + more);
      backend.download(out.data.data() + have, from + (begin - first) * width, more * sizeof(float));
    }
    from += n * width;
    out.shape[0] += out.tokens[i];
  }
  return out;
}

void Forward::check_finite(const std::string& name, const Capture& tensor, const Op& op, const char* target) {
  if (tensor.q8 || tensor.integers) return;
  const bool scores = is_square(tensor.shape);
  const int64_t width = tensor.shape.empty() || scores
                            ? 1
                            : static_cast<int64_t>(tensor.data.size()) / std::max<int64_t>(1, tensor.shape[0]);
  for (size_t i = 0; i < tensor.data.size(); ++i) {
    const float x = tensor.data[i];
    if (std::isfinite(x) || (scores && x == -HUGE_VALF)) continue;
    int found = model.graph.find(name);
    const std::string kernel = std::string(op.name) + "/" + target;
    throw Error(
        "NonFiniteError",
        name + " has " + (std::isnan(x) ? "NaN" : "infinity") + " at token " +
            std::to_string(static_cast<int64_t>(i) / width) + ", channel " +
            std::to_string(static_cast<int64_t>(i) % width) + ", from " + kernel + "; every stage before it is finite",
        edited.count(name) ? "a hook changed this stage: look there" : "look at this stage's weights and inputs",
        {{"stage", name},
         {"kernel", kernel},
         {"layer", int64_t{found < 0 ? -1 : stage(found).layer}},
         {"token", static_cast<int64_t>(i) / width},
         {"channel", static_cast<int64_t>(i) % width}});
  }
}

// Hooks, finite check, capture, cache. Returns whether a hook changed the tensor.
bool Forward::settle(const std::string& name, const Op& op, const char* target, bool beside, size_t step) {
  const int64_t rows = in_head(step) ? head_rows : T;
  bool changed = false;
  if (edited.count(name)) {
    Capture tensor = copy_out(name, rows, beside);
    tensor.kernel = std::string(op.name) + "/" + target;
    changed = request.hook(tensor);
    if (changed) backend.upload(address(name, rows, beside), tensor.data.data(), tensor.data.size() * sizeof(float));
  }
  if (request.check_finite) check_finite(name, copy_out(name, rows, beside), op, target);
  if (watched.count(name)) append(copy_kept(name, rows, beside));
  if (const Stage* s = cached(name)) store(*s, address(name, rows, beside));
  return changed;
}

// Chunks of a long prompt come one after the other; their rows are joined.
void Forward::append(Capture tensor) {
  for (Capture& have : result.captures) {
    if (have.name != tensor.name) continue;
    have.shape[0] += tensor.shape[0];
    for (size_t i = 0; i < tensor.tokens.size(); ++i) {
      if (have.sequences.back() == tensor.sequences[i]) {
        have.tokens.back() += tensor.tokens[i];
      } else {
        have.sequences.push_back(tensor.sequences[i]);
        have.tokens.push_back(tensor.tokens[i]);
      }
    }
    have.data.insert(have.data.end(), tensor.data.begin(), tensor.data.end());
    return;
  }
  result.captures.push_back(std::move(tensor));
}

void Forward::store(const Stage& s, const float* rows) {
  const int64_t width = model.config.G * model.config.E;
  for (const Part& part : parts) {
    std::byte* to = session.sequences_[part.sequence].row(s.layer, s.cache == "values", part.past);
    if (session.kv.payload == Payload::f16) backend.copy_as_f16(to, rows + part.row * width, part.tokens * width);
    else backend.copy(to, rows + part.row * width, static_cast<size_t>(part.tokens * width) * sizeof(float));
  }
}

}  // namespace cutaway
