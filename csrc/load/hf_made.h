// Tensors that lie in a file otherwise than GGUF has them, made on reading. Each of these gives what File::read calls
// for any range of bytes, from any thread.
#pragma once

#include <functional>
#include <vector>

#include "load/file.h"

namespace cutaway {

using Made = std::function<void(const File&, uint64_t from, uint64_t bytes, void* out)>;

// Where elements lie, and as what: ggml's type id of f32, f16 or bf16. For mxfp4's parts the type says nothing.
struct Source {
  int part;
  uint64_t offset;
  uint32_t type;
};

// The same elements as float32, `plus` added.
Made made_f32(Source source, float plus);

// Rows in another order, whole or in part.
struct RowMap {
  std::function<int64_t(int64_t)> row;  // which stored row is row r; null: the same
  bool as_f32 = false;
  int64_t first = 0, step = 1;  // of a stored row's columns, every `step`-th from `first` on
};
Made made_rows(Source source, int64_t stored_columns, RowMap map);

// Planes [in, out] as [out / step, in], of the outputs every `step`-th from `first` on. A plane is read and turned
// once, when the first of its rows is asked for, and let go when all of them have been read.
Made made_transposed(Source source, int64_t in, int64_t out, int64_t first, int64_t step);

// Rows of `groups` mxfp4 blocks from gpt-oss's separate nibbles and scales; row r is stored row `row(r)`.
Made made_mxfp4(Source blocks, Source scales, int64_t groups, std::function<int64_t(int64_t)> row);

Made made_constant(std::vector<float> values);

}  // namespace cutaway
