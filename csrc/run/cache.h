// Cache: the keys and values of one sequence's tokens so far, layer by layer. A layer with a window keeps only what its
// queries can still see; all others keep everything.
#pragma once

#include <vector>

#include "load/backend.h"

namespace cutaway {

// What the caches of a session have in common.
struct CacheShape {
  Backend* backend;
  size_t row_bytes;              // of one token's keys in one layer
  std::vector<int64_t> windows;  // by layer; 0: everything is seen
  int64_t n_ctx;
};

class Cache {
 public:
  // Rows [first, first + capacity) of positions. `first` is a multiple of kStep.
  struct Layer {
    std::byte *keys = nullptr, *values = nullptr;
    int64_t capacity = 0, first = 0;
  };
  // The kernels add up positions in blocks that begin at multiples of 512: rows are dropped in such blocks only, so
  // that the bits of a sum do not depend on when that was.
  static constexpr int64_t kStep = 512;

  // Rows that a layer with a window holds at most, when tokens come in chunks.
  static int64_t most_rows(int64_t window, int64_t chunk) { return window - 1 + kStep + chunk; }

  explicit Cache(const CacheShape& shape) : shape_(&shape), layers_(shape.windows.size()) {}
  Cache(Cache&& other) noexcept { *this = std::move(other); }
  Cache& operator=(Cache&& other) noexcept;
  ~Cache();

  // Makes room for `more` tokens that come in chunks. Until commit() or roll_back() the old rows are kept aside where
  // some will be dropped. A failure leaves everything as it was.
  void reserve(int64_t more, int64_t chunk);
  void commit(int64_t more);  // the tokens are there
  void roll_back();           // they are not: the rows are those of before reserve()

  // Before the rows of tokens [past, past + tokens) are written: drops what no query from `past` on sees, where room is
  // needed.
  void slide(int64_t past, int64_t tokens);

  void rewind(int64_t length);  // raises ArgumentError where a window has moved past it
  Cache copy() const;

  const Layer& layer(int64_t i) const { return layers_[static_cast<size_t>(i)]; }
  std::byte* row(int64_t layer, bool values, int64_t position) const;
  int64_t length() const { return length_; }
  size_t bytes() const;

 private:
  void release(Layer& layer);
  Layer enlarged(const Layer& old, int64_t first, int64_t capacity) const;

  const CacheShape* shape_ = nullptr;
  int64_t length_ = 0;
  std::vector<Layer> layers_;
  std::vector<std::pair<size_t, Layer>> aside_;  // layers as they were before reserve()
};

}  // namespace cutaway
