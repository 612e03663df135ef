#include "run/cache.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"

namespace cutaway {
namespace {

// The first position that has to stay for a query at `past`.
int64_t first_needed(int64_t past, int64_t window) {
  return std::max<int64_t>(0, past - window + 1) / Cache::kStep * Cache::kStep;
}

}  // namespace

Cache& Cache::operator=(Cache&& other) noexcept {
  std::swap(shape_, other.shape_);
  std::swap(length_, other.length_);
  std::swap(layers_, other.layers_);
  std::swap(aside_, other.aside_);
  return *this;
}

Cache::~Cache() {
  for (Layer& layer : layers_) release(layer);
  for (auto& [index, layer] : aside_) release(layer);
}

void Cache::release(Layer& layer) {
  for (std::byte* memory : {layer.keys, layer.values})
    if (memory) shape_->backend->release(memory, static_cast<size_t>(layer.capacity) * shape_->row_bytes);
  layer = {};
}

std::byte* Cache::row(int64_t index, bool values, int64_t position) const {
  const Layer& at = layer(index);
  return (values ? at.values : at.keys) + static_cast<size_t>(position - at.first) * shape_->row_bytes;
}

// A layer of its own with the rows [first, length_) of `old`.
Cache::Layer Cache::enlarged(const Layer& old, int64_t first, int64_t capacity) const {
  Backend& backend = *shape_->backend;
  const size_t bytes = static_cast<size_t>(capacity) * shape_->row_bytes,
               skipped = static_cast<size_t>(first - old.first) * shape_->row_bytes,
               used = static_cast<size_t>(length_ - first) * shape_->row_bytes;
  Layer out{.capacity = capacity, .first = first};
  out.keys = static_cast<std::byte*>(backend.allocate(bytes));
  try {
    out.values = static_cast<std::byte*>(backend.allocate(bytes));
  } catch (...) {
    backend.release(out.keys, bytes);
    throw;
  }
  if (used) {
    backend.copy(out.keys, old.keys + skipped, used);
    backend.copy(out.values, old.values + skipped, used);
  }
  return out;
}

void Cache::reserve(int64_t more, int64_t chunk) {
  const int64_t total = length_ + more;
  std::vector<std::pair<size_t, Layer>> made;
  try {
    for (size_t i = 0; i < layers_.size(); ++i) {
      const Layer& old = layers_[i];
      const int64_t window = shape_->windows[i];
      if (total - old.first <= old.capacity) continue;
      const int64_t most = window ? std::min(most_rows(window, chunk), shape_->n_ctx) : shape_->n_ctx;
      const int64_t first =
          window && total - old.first > most ? std::max(old.first, first_needed(length_, window)) : old.first;
      int64_t capacity = std::max<int64_t>(old.capacity, 64);
      while (capacity < std::min(total - first, most)) capacity *= 2;
      made.emplace_back(i, enlarged(old, first, std::max(std::min(capacity, most), old.capacity)));
    }
  } catch (...) {
    for (auto& [i, layer] : made) release(layer);
    throw;
  }
  for (auto& [i, layer] : made) {
    std::swap(layers_[i], layer);
    // Only a layer that will drop rows in this call has to come back if the call fails.
    if (total - layers_[i].first > layers_[i].capacity || layers_[i].first != layer.first)
      aside_.emplace_back(i, layer);
    else release(layer);
  }
}

void Cache::commit(int64_t more) {
  length_ += more;
  for (auto& [i, layer] : aside_) release(layer);
  aside_.clear();
}

void Cache::roll_back() {
  for (auto& [i, layer] : aside_) {
    std::swap(layers_[i], layer);
    release(layer);
  }
  aside_.clear();
}

void Cache::slide(int64_t past, int64_t tokens) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    Layer& at = layers_[i];
    if (past + tokens - at.first <= at.capacity) continue;
    const int64_t first = first_needed(past, shape_->windows[i]), step = first - at.first;
    for (std::byte* memory : {at.keys, at.values})
      for (int64_t row = first; row < past; row += step) {  // pieces that do not overlap their new place
        const int64_t rows = std::min(step, past - row);
        shape_->backend->copy(memory + static_cast<size_t>(row - first) * shape_->row_bytes,
                              memory + static_cast<size_t>(row - at.first) * shape_->row_bytes,
                              static_cast<size_t>(rows) * shape_->row_bytes);
      }
    at.first = first;
  }
}

void Cache::rewind(int64_t length) {
  if (length < 0 || length > length_)
    throw Error("ArgumentError",
                "cannot rewind to " + std::to_string(length) + " tokens: the sequence has " + std::to_string(length_));
  for (size_t i = 0; i < layers_.size(); ++i)
    if (layers_[i].first > 0 && layers_[i].first > std::max<int64_t>(0, length - shape_->windows[i] + 1))
      throw Error("ArgumentError",
                  "cannot rewind to " + std::to_string(length) + " tokens: layer " + std::to_string(i) +
                      " sees a window of " + std::to_string(shape_->windows[i]) + " and keeps positions from " +
                      std::to_string(layers_[i].first) + " on",
                  "make a new session and run its tokens again, or fork() before going so far");
  length_ = length;
}

Cache Cache::copy() const {
  Cache out(*shape_);
  out.length_ = length_;
  for (size_t i = 0; length_ && i < layers_.size(); ++i)
    out.layers_[i] = enlarged(layers_[i], layers_[i].first, layers_[i].capacity);
  return out;
}

size_t Cache::bytes() const {
  int64_t rows = 0;
  for (const Layer& layer : layers_) rows += 2 * layer.capacity;
  for (const auto& [i, layer] : aside_) rows += 2 * layer.capacity;
  return static_cast<size_t>(rows) * shape_->row_bytes;
}

}  // namespace cutaway
