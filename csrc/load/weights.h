// Weights: File + what the stages ask for -> one Tensor per weight on the backend, in the layout its op reads, every
// shape checked. What two stages use is stored once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "load/backend.h"
#include "load/file.h"

namespace cutaway {

// A weight as a stage uses it: a tensor of the file, or some of its rows, or one of the graph's constants.
struct WeightRef {
  std::string tensor;     // "blk.0.attn_q.weight"; a constant's name begins with "$"; empty: an absent optional weight
  Shape shape;            // expected in the file: [N, K], [N], or of experts [X, N, K], [X, N]
  int64_t first_row = 0;  // the stage uses rows [first_row, first_row + rows) of the first axis
  int64_t rows = 0;
  int64_t heads = 0;  // > 0: each head's rows lie in adjacent pairs in the file, and are put into halves on loading
  bool operator==(const WeightRef&) const = default;
};

class Weights {
 public:
  Weights(std::shared_ptr<const File> file, std::shared_ptr<Backend> backend);
  ~Weights();

  // The tensor for one use. `packed`: as matmul and embed read it; else plain f32. Reads the file the first time.
  // Raises MappingError when the tensor is missing or has another shape or format than the metadata says.
  Tensor get(const WeightRef& ref, bool packed, const std::vector<double>* constant = nullptr);

  struct Entry {
    WeightRef ref;
    bool packed;
    Tensor tensor;
    size_t bytes;                    // on the backend
    std::vector<double> constant{};  // the values of one of the graph's constants
  };
  std::vector<Entry> entries() const;
  size_t bytes() const;
  const File& file() const { return *file_; }

 private:
  Entry load(const WeightRef& ref, bool packed);

  std::shared_ptr<const File> file_;
  std::shared_ptr<Backend> backend_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

// Which stored row of the tensor the stage's row n is.
int64_t stored_row(const WeightRef& ref, int64_t n);

}  // namespace cutaway
