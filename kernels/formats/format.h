// Format: how elements are stored, plain or in blocks. One folder per format holds its block struct, its exact
// unpacking and its packing for the CPU's matmul; this is the table through which everything else finds them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace cutaway {

enum class Payload { f32, f16, bf16, codes };

// How a group's scale and minimum come about; factors are float16, one or two to a block, and kept as they are.
enum class Scales {
  none,     // plain floats
  f16,      // scale = d, minimum = m; a group is a block of 32
  e8m0,     // scale = 2^(d - 128), d a byte; a group is a block of 32
  bytes,    // scale = d * scale[g], minimum = -(m * minimum[g]), 8 or fewer bits each; blocks are 256 elements
  nibbles,  // the same in 4 bits each
};

// What the packed layout (packed.h) and the kernels, at compile time, know of a format.
struct Packing {
  Scales scales = Scales::none;
  int bits = 0;           // of a code: 2 to 6, or 8; of plain floats 0, or 15 where they go without bit 14
  int group = 0;          // elements that share a scale: 32 or 16; 0 for plain floats
  int offset = 0;         // subtracted from a code to get the signed integer: 0, or a power of two; unused with a table
  bool minimums = false;  // whether there are minimums
  int table = 0;          // bits that the integers take, with their sign, which codes are looked up to; 0: they are not
};

// Static, so that a file built for a wide target keeps its own copy to itself.
static constexpr bool same(const Packing& a, const Packing& b) {
  return a.scales == b.scales && a.bits == b.bits && a.group == b.group && a.offset == b.offset &&
         a.minimums == b.minimums && a.table == b.table;
}

// One block's integers in the form every quantised format can be written in, exactly:
//   value[j] = scale * (table ? table[code[j]] : code[j] - offset) + minimum      of group j / packing.group
// computed in float32, product first, then the sum. Scale and minimum come from the fields below: see Scales.
struct Codes {
  uint8_t code[256];
  uint16_t d, m;
  int8_t scale[16];
  uint8_t minimum[16];
};

struct Format {
  const char* name;  // "q4_1"
  uint32_t gguf_id;  // ggml's type id
  int block;         // elements of a block; 1 for plain floats
  int block_bytes;   // bytes of a block
  Payload payload;
  Packing packing;
  const int8_t* table;  // 16 signed values for codes that are looked up (mxfp4), or null

  // One stored row of n elements (a multiple of block) to float32, bit for bit what the format's definition gives.
  void (*unpack_row)(const void* row, float* out, int64_t n);
  // One stored block to Codes; null for plain floats.
  void (*unpack_codes)(const void* block, Codes* out);
  // `count` stored rows of K elements, one after the other, to a strip of the packed layout: see packed.h.
  // False if this packing does not hold their values.
  bool (*pack_strip)(int64_t K, const uint8_t* rows, int64_t count, uint8_t* strip);
  const Format* below_2 = nullptr;  // the same with a packing for values below 2 in magnitude only, if there is one
};

std::span<const Format* const> formats();
const Format* find_format(std::string_view name);  // null: we do not have it
const Format* find_format(uint32_t gguf_id);       // null: we do not have it
const char* gguf_type_name(uint32_t gguf_id);      // "IQ2_XXS" for a type we know of but do not read; null: unknown

inline int64_t row_bytes(const Format& f, int64_t n) { return n / f.block * f.block_bytes; }

}  // namespace cutaway
