#include "load/hf_made.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>

#include "formats/format.h"
#include "formats/mxfp4/mxfp4.h"

namespace cutaway {
namespace {

// Bytes [from, from + count) of rows of `row_bytes`, each written by make(row, out): those whole straight into `out`.
template <typename MakeRow>
void by_rows(uint64_t row_bytes, uint64_t from, uint64_t count, void* out, MakeRow make) {
  auto* to = static_cast<std::byte*>(out);
  std::vector<std::byte> partial;
  while (count) {
    const uint64_t skip = from % row_bytes, n = std::min(count, row_bytes - skip);
    const auto row = static_cast<int64_t>(from / row_bytes);
    if (n == row_bytes) {
      make(row, to);
    } else {
      partial.resize(row_bytes);
      make(row, partial.data());
      std::memcpy(to, partial.data() + skip, n);
    }
    to += n, from += n, count -= n;
  }
}

uint64_t element_bytes(const Source& source) { return static_cast<uint64_t>(find_format(source.type)->block_bytes); }

void to_f32(const Source& source, const void* elements, float* out, int64_t n) {
  find_format(source.type)->unpack_row(elements, out, n);
}

// out[j, i] = in[i, first + j * step] for the rows [i0, i0 + rows) of a plane with `in_rows` rows.
template <typename T>
void turn(const T* in, int64_t rows, int64_t out_columns, T* out, int64_t i0, int64_t in_rows, int64_t first,
          int64_t step) {
  for (int64_t j = first; j < out_columns; j += step)
    for (int64_t i = 0; i < rows; ++i) out[j / step * in_rows + i0 + i] = in[i * out_columns + j];
}

struct Plane {
  std::mutex mutex;
  std::vector<std::byte> data;  // [out / step, in], empty until it is read
  uint64_t unread = 0;          // bytes
};

class Transposed {
 public:
  Transposed(Source source, int64_t in, int64_t out, int64_t first, int64_t step)
      : source_(source), in_(in), out_(out), first_(first), step_(step) {}

  void read(const File& file, uint64_t from, uint64_t count, void* out) {
    const uint64_t whole = bytes();
    auto* to = static_cast<std::byte*>(out);
    while (count) {
      const uint64_t skip = from % whole, n = std::min(count, whole - skip);
      take(file, from / whole, skip, n, to);
      to += n, from += n, count -= n;
    }
  }

 private:
  uint64_t bytes() const { return static_cast<uint64_t>(in_ * (out_ / step_)) * element_bytes(source_); }

  void take(const File& file, uint64_t number, uint64_t skip, uint64_t n, std::byte* to) {
    std::shared_ptr<Plane> plane;
    {
      std::lock_guard lock(mutex_);
      std::shared_ptr<Plane>& slot = planes_[number];
      if (!slot) slot = std::make_shared<Plane>();
      plane = slot;
    }
    std::unique_lock lock(plane->mutex);
    if (plane->data.empty()) fill(file, number, *plane);
    std::memcpy(to, plane->data.data() + skip, n);
    plane->unread -= std::min(plane->unread, n);
    const bool done = plane->unread == 0;
    lock.unlock();
    if (!done) return;
    std::lock_guard all(mutex_);
    if (const auto it = planes_.find(number); it != planes_.end() && it->second == plane) planes_.erase(it);
  }

  void fill(const File& file, uint64_t number, Plane& plane) const {
    constexpr int64_t strip = 64;  // stored rows turned together: a cache line of each output row
    const uint64_t size = element_bytes(source_), stored = static_cast<uint64_t>(in_ * out_) * size;
    std::vector<std::byte> rows(static_cast<size_t>(std::min(strip, in_) * out_) * size), data(bytes());
    for (int64_t i = 0; i < in_; i += strip) {
      const int64_t n = std::min(strip, in_ - i);
      file.read_part(source_.part, source_.offset + number * stored + static_cast<uint64_t>(i * out_) * size,
                     static_cast<uint64_t>(n * out_) * size, rows.data());
      if (size == 2)
        turn(reinterpret_cast<const uint16_t*>(rows.data()), n, out_, reinterpret_cast<uint16_t*>(data.data()), i, in_,
             first_, step_);
      else
        turn(reinterpret_cast<const uint32_t*>(rows.data()), n, out_, reinterpret_cast<uint32_t*>(data.data()), i, in_,
             first_, step_);
    }
    plane.unread = data.size();
    plane.data = std::move(data);
  }

  Source source_;
  int64_t in_, out_, first_, step_;
  std::mutex mutex_;  // of planes_
  std::map<uint64_t, std::shared_ptr<Plane>> planes_;
};

}  // namespace

Made made_f32(Source source, float plus) {
  return [=](const File& file, uint64_t from, uint64_t count, void* out) {
    const uint64_t size = element_bytes(source), first = from / 4, n = (from + count + 3) / 4 - first;
    std::vector<std::byte> stored(n * size);
    std::vector<float> values(n);
    file.read_part(source.part, source.offset + first * size, stored.size(), stored.data());
    to_f32(source, stored.data(), values.data(), static_cast<int64_t>(n));
    if (plus != 0)  // which would make 0 of -0
      for (float& value : values) value += plus;
    std::memcpy(out, reinterpret_cast<const std::byte*>(values.data()) + from % 4, count);
  };
}

Made made_rows(Source source, int64_t stored_columns, RowMap map) {
  return [=](const File& file, uint64_t from, uint64_t count, void* out) {
    const uint64_t size = element_bytes(source), stored_bytes = static_cast<uint64_t>(stored_columns) * size;
    const bool straight = !map.as_f32 && map.step == 1;
    std::vector<std::byte> stored(straight ? 0 : stored_bytes);
    std::vector<float> values(straight ? 0 : static_cast<size_t>(stored_columns));
    const int64_t columns = stored_columns / map.step;
    by_rows(straight ? stored_bytes : static_cast<uint64_t>(columns) * 4, from, count, out, [&](int64_t r, void* to) {
      const auto row = static_cast<uint64_t>(map.row ? map.row(r) : r);
      file.read_part(source.part, source.offset + row * stored_bytes, stored_bytes, straight ? to : stored.data());
      if (straight) return;
      to_f32(source, stored.data(), values.data(), stored_columns);
      for (int64_t i = 0; i < columns; ++i)
        std::memcpy(static_cast<std::byte*>(to) + 4 * i, &values[static_cast<size_t>(map.first + i * map.step)], 4);
    });
  };
}

Made made_transposed(Source source, int64_t in, int64_t out, int64_t first, int64_t step) {
  const auto turned = std::make_shared<Transposed>(source, in, out, first, step);
  return [=](const File& file, uint64_t from, uint64_t count, void* to) { turned->read(file, from, count, to); };
}

Made made_mxfp4(Source blocks, Source scales, int64_t groups, std::function<int64_t(int64_t)> row) {
  return [=](const File& file, uint64_t from, uint64_t count, void* out) {
    if (!count) return;
    // All that lies between the stored rows is read with them: rows keep their order, every one or every other.
    const auto n = static_cast<uint64_t>(groups), bytes = n * sizeof(BlockMxfp4);
    const auto first = static_cast<uint64_t>(row(static_cast<int64_t>(from / bytes)));
    const uint64_t rows = static_cast<uint64_t>(row(static_cast<int64_t>((from + count - 1) / bytes))) + 1 - first;
    std::vector<uint8_t> nibbles(rows * 16 * n), exponents(rows * n);
    file.read_part(blocks.part, blocks.offset + first * 16 * n, nibbles.size(), nibbles.data());
    file.read_part(scales.part, scales.offset + first * n, exponents.size(), exponents.data());
    by_rows(bytes, from, count, out, [&](int64_t r, void* to) {
      const uint64_t stored = (static_cast<uint64_t>(row(r)) - first) * n;
      for (uint64_t g = 0; g < n; ++g) {
        // Stored: elements 2k and 2k + 1 in byte k. Here: k and k + 16.
        const uint8_t* pair = &nibbles[16 * (stored + g)];
        BlockMxfp4 block{.e = exponents[stored + g], .qs = {}};
        for (int k = 0; k < 8; ++k) {
          block.qs[2 * k] = static_cast<uint8_t>((pair[k] & 15) | pair[k + 8] << 4);
          block.qs[2 * k + 1] = static_cast<uint8_t>(pair[k] >> 4 | (pair[k + 8] & 0xf0));
        }
        std::memcpy(static_cast<std::byte*>(to) + g * sizeof block, &block, sizeof block);
      }
    });
  };
}

Made made_constant(std::vector<float> values) {
  return [values = std::move(values)](const File&, uint64_t from, uint64_t count, void* out) {
    std::memcpy(out, reinterpret_cast<const std::byte*>(values.data()) + from, count);
  };
}

}  // namespace cutaway
