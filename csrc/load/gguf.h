// What the GGUF reader (gguf.cpp, gguf_metadata.cpp), gguf_split.cpp and gguf_writer.cpp share: names of keys and
// tensors, value types, and block sizes of ggml's tensor types, those included that we list but do not compute with.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "formats/format.h"
#include "load/file.h"

namespace cutaway {
class Cursor;
}

namespace cutaway::gguf {

enum ValueType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64, value_types };

inline const char* value_type_name(uint32_t type) {
  static const char* const names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                      "bool", "string", "array", "u64", "i64", "f64"};
  return type < value_types ? names[type] : nullptr;
}

// Bytes of one value; of a string, the least it can take (its length field).
inline uint64_t value_bytes(uint32_t type) {
  static const uint8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
  return bytes[type];
}

struct Block {
  uint32_t elements, bytes;  // 0, 0: not known to us
};

// ggml.h and ggml-common.h. Types that have a Format answer for themselves; of Q8_1 readers disagree about the size.
inline Block block_of(uint32_t type) {
  if (const Format* f = find_format(type))
    return {static_cast<uint32_t>(f->block), static_cast<uint32_t>(f->block_bytes)};
  struct Row {
    uint32_t type;
    Block block;
  };
  static const Row rows[] = {
      {15, {256, 292}},  // Q8_K
      {16, {256, 66}},   // IQ2_XXS
      {17, {256, 74}},   // IQ2_XS
      {18, {256, 98}},   // IQ3_XXS
      {19, {256, 50}},   // IQ1_S
      {21, {256, 110}},  // IQ3_S
      {22, {256, 82}},   // IQ2_S
      {24, {1, 1}},      // I8
      {25, {1, 2}},      // I16
      {26, {1, 4}},      // I32
      {27, {1, 8}},      // I64
      {28, {1, 8}},      // F64
      {29, {256, 56}},   // IQ1_M
      {34, {256, 54}},   // TQ1_0
      {35, {256, 66}},   // TQ2_0
      {40, {64, 36}},    // NVFP4
      {41, {128, 18}},   // Q1_0
  };
  for (const Row& row : rows)
    if (row.type == type) return row.block;
  return {0, 0};
}

// What is wrong with a metadata key or a tensor name, or null. Keys are ASCII by the specification; tensor names may be
// any UTF-8 without control characters, and never look like a path.
const char* key_fault(const std::string& key);
const char* name_fault(const std::string& name);

// `keys` metadata entries into file.metadata and file.keys.
void read_metadata(Cursor& in, uint64_t keys, const Limits& limits, File& file);

// One file, which may be one part of a split model: its header, read and validated.
std::unique_ptr<File> read_part(const std::string& path, const Limits& limits);

}  // namespace cutaway::gguf
