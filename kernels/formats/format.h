// Format: how elements are stored, plain or in blocks. One folder per format holds its block struct, its exact
// unpacking and its packing for the CPU's matmul; this is the table through which everything else finds them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace cutaway {

// What the packed layout (packed.h) needs to know of a format.
enum class Payload {
  f32,  // floats, 16 rows interleaved column by column
  f16,
  bf16,
  u4,  // 4-bit codes
  u8,  // 8-bit codes
};

// One block's integers in the form every quantised format can be written in, exactly:
//   value[j] = scale[j / group] * (table ? table[code[j]] : code[j] - offset) + minimum[j / group]
// computed in float32, product first, then the sum.
struct Codes {
  uint8_t code[256];
  float scale[16];    // per group of `group` elements
  float minimum[16];  // zero where the format has none
};

struct Format {
  const char* name;  // "q4_1"
  uint32_t gguf_id;  // ggml's type id
  int block;         // elements of a block; 1 for plain floats
  int block_bytes;   // bytes of a block
  Payload payload;
  int group;            // elements that share a scale: 32 or 16; 0 for plain floats
  int offset;           // subtracted from a code to get the signed integer; unused with a table
  const int8_t* table;  // 16 signed values for codes that are looked up (mxfp4), or null
  bool minimums;        // whether `minimum` is ever nonzero
  bool wide_scale;      // whether scale and minimum need float32; false: they are float16 in the file and stay so

  // One stored row of n elements (a multiple of block) to float32, bit for bit what the format's definition gives.
  void (*unpack_row)(const void* row, float* out, int64_t n);
  // One stored block to Codes; null for plain floats.
  void (*unpack_codes)(const void* block, Codes* out);
};

std::span<const Format* const> formats();
const Format* find_format(std::string_view name);  // null: we do not have it
const Format* find_format(uint32_t gguf_id);       // null: we do not have it
const char* gguf_type_name(uint32_t gguf_id);      // "IQ2_XXS" for a type we know of but do not read; null: unknown

inline int64_t row_bytes(const Format& f, int64_t n) { return n / f.block * f.block_bytes; }

}  // namespace cutaway
