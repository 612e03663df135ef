#include "load/weights.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "formats/format.h"

namespace cutaway {
namespace {

// Names of the file that end as `name` does or differ from it by little, for an error to suggest.
std::string nearest_names(const File& file, const std::string& name) {
  std::string part = name.substr(name.rfind("blk.", 0) == 0 ? name.find('.', 4) + 1 : 0);
  std::string out;
  int found = 0;
  for (const TensorInfo& tensor : file.tensors) {
    if (tensor.name.find(part) == std::string::npos && tensor.name.substr(0, 6) != name.substr(0, 6)) continue;
    if (++found > 4) break;
    out += (out.empty() ? "" : ", ") + printable(tensor.name);
  }
  return out.empty() ? "none like it" : out;
}

const TensorInfo& find(const File& file, const WeightRef& ref) {
  const TensorInfo* tensor = file.find(ref.tensor);
  if (!tensor)
    throw Error("MappingError",
                file.parts[0] + ": tensor " + printable(ref.tensor) + " is missing; the file has " +
                    nearest_names(file, ref.tensor),
                "", {{"tensor", ref.tensor}});
  if (!(tensor->shape == ref.shape))
    throw Error("MappingError",
                file.parts[0] + ": " + printable(ref.tensor) + " is " + tensor->shape.str() + ", expected " +
                    ref.shape.str() + " from the metadata",
                "", {{"tensor", ref.tensor}, {"found", tensor->shape.str()}, {"expected", ref.shape.str()}});
  if (!tensor->format)
    throw Error("UnsupportedModelError",
                file.parts[0] + ": " + printable(ref.tensor) + " is stored in a format that cutaway does not run");
  return *tensor;
}

}  // namespace

int64_t stored_row(const WeightRef& ref, int64_t n) {
  if (!ref.heads) return ref.first_row + n;
  // Row i of the first half of a head is stored at 2i, row i of the second at 2i + 1.
  const int64_t width = ref.rows / ref.heads, head = n / width, i = n % width, half = width / 2;
  return ref.first_row + head * width + (i < half ? 2 * i : 2 * (i - half) + 1);
}

namespace {

// Rows [n, n + count) of the weight, `bytes` each, `in_first` to every one of the first axis. Rows in another order are
// read with all that lies between them, and then put in theirs.
void read_rows(const File& file, const TensorInfo& tensor, const WeightRef& ref, uint64_t bytes, int64_t in_first,
               int64_t n, int64_t count, void* out) {
  const auto stored = [&](int64_t row) {
    return static_cast<uint64_t>(stored_row(ref, row / in_first) * in_first + row % in_first);
  };
  if (!ref.heads) return file.read(tensor, stored(n) * bytes, static_cast<uint64_t>(count) * bytes, out);
  uint64_t first = stored(n), last = first;
  for (int64_t i = 1; i < count; ++i) first = std::min(first, stored(n + i)), last = std::max(last, stored(n + i));
  std::vector<std::byte> all((last - first + 1) * bytes);
  file.read(tensor, first * bytes, all.size(), all.data());
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(static_cast<std::byte*>(out) + static_cast<uint64_t>(i) * bytes,
                all.data() + (stored(n + i) - first) * bytes, bytes);
}

}  // namespace

Weights::Weights(std::shared_ptr<const File> file, std::shared_ptr<Backend> backend)
    : file_(std::move(file)), backend_(std::move(backend)) {}

Weights::~Weights() {
  for (Entry& entry : entries_) backend_->release(entry.tensor.data, entry.bytes);
}

Weights::Entry Weights::load(const WeightRef& ref, bool packed) {
  const TensorInfo& tensor = find(*file_, ref);
  const Format& format = *tensor.format;
  Shape shape = ref.shape;
  shape[0] = ref.rows;
  // A row as it is read: of a vector one number, of experts' matrices a row of one of them.
  const int64_t K = shape.rank == 1 ? 1 : shape.last(), in_first = shape.rank == 3 ? shape[1] : 1;
  const auto bytes = static_cast<uint64_t>(row_bytes(format, K));
  const StoredRows read = [&](int64_t n, int64_t count, void* buffer) {
    read_rows(*file_, tensor, ref, bytes, in_first, n, count, buffer);
    return buffer;
  };
  if (packed) {
    const Tensor out = backend_->weight(format, shape, read);
    return {ref, true, out, backend_->weight_bytes(*out.format, shape)};
  }
  if (format.payload != Payload::f32)
    throw Error("MappingError",
                file_->parts[0] + ": " + printable(ref.tensor) + " is " + format.name + ", expected f32", "",
                {{"tensor", ref.tensor}});
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  read(0, shape.elements() / K, values.data());
  const size_t size = values.size() * sizeof(float);
  Tensor out{.data = backend_->allocate(size), .format = &format, .shape = shape};
  backend_->upload(out.data, values.data(), size);
  return {ref, false, out, size};
}

Tensor Weights::get(const WeightRef& ref, bool packed, const std::vector<double>* constant) {
  if (ref.tensor.empty()) return {};
  std::lock_guard lock(mutex_);
  // A constant is found by its name alone only if its values are the same: an edited graph may change them.
  for (const Entry& entry : entries_)
    if (entry.ref == ref && entry.packed == packed &&
        (!constant || std::equal(constant->begin(), constant->end(), entry.constant.begin(), entry.constant.end())))
      return entry.tensor;
  if (constant) {
    const size_t size = constant->size() * sizeof(double);
    Tensor out{.data = backend_->allocate(size), .format = nullptr, .shape = {static_cast<int64_t>(constant->size())}};
    backend_->upload(out.data, constant->data(), size);
    entries_.push_back({ref, false, out, size, *constant});
  } else {
    entries_.push_back(load(ref, packed));
  }
  return entries_.back().tensor;
}

std::vector<Weights::Entry> Weights::entries() const {
  std::lock_guard lock(mutex_);
  return entries_;
}

size_t Weights::bytes() const {
  size_t total = 0;
  for (const Entry& entry : entries()) total += entry.bytes;
  return total;
}

}  // namespace cutaway
