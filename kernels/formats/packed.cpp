#include "formats/packed.h"

#include <cstring>
#include <vector>

#include "formats/f16_value.h"

namespace cutaway {
namespace {

void put_scale(const Format& f, uint8_t* at, int64_t index, float value) {
  if (f.wide_scale) return static_cast<void>(std::memcpy(at + index * 4, &value, 4));
  uint16_t half = f16_bits(value);
  std::memcpy(at + index * 2, &half, 2);
}

float get_scale(const Format& f, const uint8_t* at, int64_t index) {
  if (f.wide_scale) {
    float value;
    std::memcpy(&value, at + index * 4, 4);
    return value;
  }
  uint16_t half;
  std::memcpy(&half, at + index * 2, 2);
  return f16_value(half);
}

int get_code(const Format& f, const uint8_t* payload, int64_t column, int64_t lane) {
  int64_t quad = column / 4, in_quad = lane * 4 + column % 4;
  if (f.payload == Payload::u8) return payload[quad * 64 + in_quad];
  return payload[quad / 2 * 64 + in_quad] >> (quad % 2 * 4) & 15;
}

void put_code(const Format& f, uint8_t* payload, int64_t column, int64_t lane, int code) {
  int64_t quad = column / 4, in_quad = lane * 4 + column % 4;
  if (f.payload == Payload::u8) payload[quad * 64 + in_quad] = static_cast<uint8_t>(code);
  else payload[quad / 2 * 64 + in_quad] |= static_cast<uint8_t>(code << (quad % 2 * 4));
}

void pack_row_of_codes(const Format& f, int64_t K, const uint8_t* row, uint8_t* strip, int64_t lane) {
  const PackedBlock at = packed_block(f);
  Codes codes;
  for (int64_t column = 0; column < K; column += f.block, row += f.block_bytes) {
    f.unpack_codes(row, &codes);
    for (int64_t from = 0; from < f.block; from += kBlockColumns) {
      uint8_t* block = strip + static_cast<size_t>((column + from) / kBlockColumns) * at.bytes;
      for (int64_t i = 0; i < kBlockColumns; ++i) put_code(f, block, i, lane, codes.code[from + i]);
      for (int64_t g = 0; g < kBlockColumns / f.group; ++g) {
        put_scale(f, block + at.scales, g * kStripRows + lane, codes.scale[from / f.group + g]);
        if (f.minimums) put_scale(f, block + at.minimums, g * kStripRows + lane, codes.minimum[from / f.group + g]);
      }
    }
  }
}

void pack_row_of_floats(int64_t K, size_t size, const uint8_t* row, uint8_t* strip, int64_t lane) {
  for (int64_t k = 0; k < K; ++k)
    std::memcpy(strip + static_cast<size_t>(k * kStripRows + lane) * size, row + static_cast<size_t>(k) * size, size);
}

}  // namespace

void pack(const Format& f, const Shape& shape, const std::function<const void*(int64_t, void*)>& row, void* out,
          Pool& pool) {
  const int64_t N = shape[shape.rank - 2], K = shape.last(), X = shape.rank == 3 ? shape[0] : 1;
  const size_t bytes = strip_bytes(f, K);
  pool.parallel_for(X * strips(N), [&](int64_t begin, int64_t end, int) {
    std::vector<uint8_t> buffer(static_cast<size_t>(row_bytes(f, K)));
    for (int64_t s = begin; s < end; ++s) {
      auto* strip = static_cast<uint8_t*>(out) + static_cast<size_t>(s) * bytes;
      const int64_t matrix = s / strips(N), first = s % strips(N) * kStripRows;
      std::memset(strip, 0, bytes);
      for (int64_t lane = 0; lane < kStripRows && first + lane < N; ++lane) {
        const auto* stored = static_cast<const uint8_t*>(row(matrix * N + first + lane, buffer.data()));
        if (has_codes(f)) pack_row_of_codes(f, K, stored, strip, lane);
        else pack_row_of_floats(K, static_cast<size_t>(f.block_bytes), stored, strip, lane);
      }
    }
  });
}

void unpack_packed_row(const Format& f, const void* packed, int64_t K, int64_t n, float* out) {
  const auto* strip = static_cast<const uint8_t*>(packed) + static_cast<size_t>(n / kStripRows) * strip_bytes(f, K);
  const int64_t lane = n % kStripRows;
  if (!has_codes(f)) {
    const size_t size = static_cast<size_t>(f.block_bytes);
    for (int64_t k = 0; k < K; ++k) f.unpack_row(strip + static_cast<size_t>(k * kStripRows + lane) * size, out + k, 1);
    return;
  }
  const PackedBlock at = packed_block(f);
  for (int64_t k = 0; k < K; ++k) {
    const uint8_t* block = strip + static_cast<size_t>(k / kBlockColumns) * at.bytes;
    int64_t column = k % kBlockColumns, group = column / f.group * kStripRows + lane;
    float product =
        get_scale(f, block + at.scales, group) * static_cast<float>(integer_of(f, get_code(f, block, column, lane)));
    out[k] = f.minimums ? product + get_scale(f, block + at.minimums, group) : product;
  }
}

void unpack_packed(const Format& f, const void* packed, const Shape& shape, int64_t n, float* out) {
  const int64_t N = shape[shape.rank - 2], K = shape.last();
  unpack_packed_row(f, static_cast<const std::byte*>(packed) + static_cast<size_t>(n / N) * packed_bytes(f, N, K), K,
                    n % N, out);
}

}  // namespace cutaway
