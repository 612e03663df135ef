// GGUF v2 and v3: reads and validates everything before the tensor data
// (github.com/ggml-org/ggml/blob/master/docs/gguf.md).
//
//   "GGUF" u32 version  u64 tensors  u64 keys | keys: string, u32 type, value | entries: string, u32 rank, u64
//   ne[rank], u32 type, u64 offset | padding to the alignment | tensor data, each at data start + offset
//
// Strings are u64 length + bytes, arrays u32 type + u64 count + elements. Nothing is allocated on a number's word:
// every count is held against a cap and against the bytes that are left. The numbers of the row-major Shape are ne
// reversed.
#include <algorithm>
#include <numeric>

#include "base/checked.h"
#include "base/error.h"
#include "load/cursor.h"
#include "load/file.h"
#include "load/gguf.h"
#include "load/open.h"

namespace cutaway {
namespace {

using namespace gguf;

constexpr uint64_t min_key_bytes = 8 + 1 + 4 + 1;             // name of one letter, a u8
constexpr uint64_t min_tensor_bytes = 8 + 1 + 4 + 8 + 4 + 8;  // name of one letter, one dimension

struct Counts {
  uint64_t tensors, keys;
};

std::string number(uint64_t n) { return std::to_string(n); }

void check_magic(Cursor& in, const File::Handle& handle) {
  uint64_t size = handle.size;
  std::string head(std::min<uint64_t>(size, 512), '\0');
  read_at(handle, in.path(), 0, head.size(), head.data());
  if (head.size() < 4)
    in.fail(Cursor::truncated, head.size(), "the file has " + number(size) + " bytes, expected \"GGUF\" and a header",
            "", {{"have", size}});
  if (head.starts_with("GGUF")) {
    in.get<uint32_t>("the magic");
    return;
  }
  LooksLike it = looks_like(head);
  Details details;
  if (!it.what.empty()) details.push_back({"looks_like", it.what});
  if (it.stands_for) {
    details.insert(details.end(), {{"expected", it.stands_for}, {"have", size}});
    in.fail(Cursor::truncated, 0,
            "this is " + it.what + ": expected " + number(it.stands_for) + " bytes, have " + number(size), it.hint,
            details);
  }
  std::string magic;
  for (char c : head.substr(0, 4))
    magic += std::string(magic.empty() ? "" : " ") + "0123456789abcdef"[(c >> 4) & 15] + "0123456789abcdef"[c & 15];
  in.fail("GGUFError", 0,
          "the file starts with " + magic + ", expected \"GGUF\" (47 47 55 46)" +
              (it.what.empty() ? "" : "; it looks like " + it.what),
          it.hint, details);
}

uint32_t read_version(Cursor& in) {
  auto version = in.get<uint32_t>("the version");
  if (version != 0 && (version & 0xffff) == 0)
    in.fail("UnsupportedModelError", 4, "big-endian GGUF (version " + number(version) + "), expected little-endian",
            "convert the model again for a little-endian machine", {{"version", int64_t{version}}});
  if (version != 2 && version != 3)
    in.fail("UnsupportedModelError", 4, "GGUF version " + number(version) + ", expected 2 or 3",
            "convert the model again", {{"version", int64_t{version}}});
  return version;
}

// A count of things that take at least `least` bytes each, before `reserved` bytes of something else.
uint64_t read_count(Cursor& in, const char* what, uint64_t cap, const char* limit, uint64_t least, uint64_t reserved) {
  uint64_t at = in.pos(), bytes = 0;
  auto n = in.get<uint64_t>(what);
  if (n > cap)
    in.fail(Cursor::limit_exceeded, at, "the file claims " + number(n) + " " + what + ", the cap is " + number(cap), "",
            {{"limit", std::string(limit)}, {"value", n}});
  if (!checked::mul(n, least, &bytes) || !checked::add(bytes, reserved, &bytes))
    in.fail("GGUFError", at, "size overflow: the file claims " + number(n) + " " + what);
  in.need(bytes, what);
  return n;
}

uint64_t read_alignment(const Cursor& in, const File& file) {
  const Value* value = file.value("general.alignment");
  if (!value) return 32;
  if (value->is_array || value->type != u32)
    in.fail("GGUFError", value->at,
            std::string("general.alignment is ") + (value->is_array ? "an array" : value_type_name(value->type)) +
                ", expected u32");
  uint64_t n = std::get<uint64_t>(value->it);
  if (n == 0 || (n & (n - 1)) || n > 65536)
    in.fail("GGUFError", value->at, "general.alignment is " + number(n) + ", expected a power of two from 1 to 65536");
  return n;
}

// The bytes of a tensor whose ne are `dims`; false where 64 bits do not hold them. An axis of zero hides nothing: the
// others must still fit, because Shape multiplies them in any order.
bool tensor_bytes(const std::vector<uint64_t>& dims, Block block, uint64_t* elements, uint64_t* bytes) {
  uint64_t n = 1;
  for (uint64_t dim : dims)
    if (!checked::mul(n, std::max<uint64_t>(dim, 1), &n)) return false;
  if (n > INT64_MAX) return false;
  *elements = std::find(dims.begin(), dims.end(), 0) == dims.end() ? n : 0;
  *bytes = 0;
  return !block.elements || checked::mul(*elements / block.elements, block.bytes, bytes);
}

TensorInfo read_entry(Cursor& in, const Limits& limits, File& file) {
  TensorInfo t{};
  t.at = in.pos();
  t.name = in.string("a tensor's name", limits.name_bytes, "GGUFError");
  if (const char* fault = name_fault(t.name))
    in.fail("GGUFError", t.at, "tensor name \"" + printable(t.name) + "\" " + fault, "", {{"tensor", t.name}});
  uint64_t at = in.pos();
  auto rank = in.get<uint32_t>("a tensor's rank");
  if (rank == 0)
    in.fail("GGUFError", at, "tensor " + t.name + " has rank 0, expected 1 to 4", "", {{"tensor", t.name}});
  if (rank > 4)
    in.fail(Cursor::limit_exceeded, at, "tensor " + t.name + " has rank " + number(rank) + ", expected 1 to 4",
            "tensors of more than four axes do not occur in GGUF; the file is damaged",
            {{"tensor", t.name}, {"limit", std::string("rank")}, {"value", uint64_t{rank}}});
  std::vector<uint64_t> dims(rank);
  at = in.pos();
  for (auto& dim : dims) dim = in.get<uint64_t>("a dimension");
  std::string ne;
  for (uint64_t dim : dims) ne += (ne.empty() ? "" : ", ") + number(dim);
  for (uint64_t dim : dims) {
    if (dim > INT64_MAX)
      in.fail("GGUFError", at,
              "tensor " + t.name + " has dimensions [" + ne + "], one of them negative or over 2^63 - 1", "",
              {{"tensor", t.name}});
    if (dim == 0) file.warnings.push_back("tensor " + t.name + " has a dimension of 0");
  }
  at = in.pos();
  t.type = in.get<uint32_t>("a tensor's type");
  t.offset = in.get<uint64_t>("a tensor's offset");
  t.format = find_format(t.type);
  if (!t.format && !gguf_type_name(t.type))
    in.fail("UnsupportedModelError", at,
            "tensor " + t.name + " has type " + number(t.type) + ", which is unassigned or was removed from GGUF",
            "convert the model again with a current converter", {{"tensor", t.name}, {"type", int64_t{t.type}}});
  Block block = block_of(t.type);
  if (block.elements && dims[0] % block.elements)
    in.fail("GGUFError", at,
            "tensor " + t.name + " has rows of " + number(dims[0]) +
                " elements, which is no multiple of the block of " + t.type_name() + ", " + number(block.elements),
            "", {{"tensor", t.name}, {"block", int64_t{block.elements}}});
  uint64_t elements, padded;
  if (!tensor_bytes(dims, block, &elements, &t.bytes) || !checked::align_up(t.bytes, 65536, &padded))
    in.fail("GGUFError", at,
            "size overflow: tensor " + t.name + " [" + ne + "] of " + t.type_name() + " does not fit 64 bits", "",
            {{"tensor", t.name}});
  t.shape.rank = static_cast<int>(rank);
  for (uint32_t i = 0; i < rank; ++i) t.shape[static_cast<int>(i)] = static_cast<int64_t>(dims[rank - 1 - i]);
  if (t.name.size() > 63)
    file.warnings.push_back("tensor name " + t.name + " has 64 bytes; llama.cpp reads 63 at most");
  return t;
}

// Offsets from the start of the data become offsets in the file; every tensor lies inside the file and on its own
// bytes.
void place_tensors(Cursor& in, uint64_t alignment, const Limits& limits, File& file) {
  const uint64_t size = file.bytes;
  uint64_t data, total;
  if (!checked::align_up(in.pos(), alignment, &data))
    in.fail("GGUFError", in.pos(), "size overflow: header and padding");
  if (file.tensors.empty()) data = in.pos();
  total = data;
  uint64_t end = data;  // of the last tensor
  const TensorInfo* beyond = nullptr;
  for (TensorInfo& t : file.tensors) {
    uint64_t padded, last;
    // The sum also counts what lies beyond the file, so it is the sum that must not wrap, not its parts.
    if (!checked::align_up(t.bytes, alignment, &padded) || !checked::add(total, padded, &total) ||
        !checked::add(data, t.offset, &t.offset) || !checked::add(t.offset, t.bytes, &last))
      in.fail("GGUFError", t.at, "size overflow: header and tensors up to " + t.name + " do not fit 64 bits", "",
              {{"tensor", t.name}});
    if ((t.offset - data) % alignment)
      in.fail("GGUFError", t.at,
              "tensor " + t.name + " has offset " + number(t.offset - data) +
                  ", expected a multiple of the alignment, " + number(alignment),
              "", {{"tensor", t.name}});
    if (!beyond && !checked::inside(t.offset, t.bytes, size)) beyond = &t;
    end = std::max(end, last);
  }
  for (const TensorInfo& t : file.tensors) {
    if (static_cast<uint64_t>(t.shape.elements()) > limits.elements)
      in.fail(Cursor::limit_exceeded, t.at,
              "tensor " + t.name + " " + t.shape.str() + " has more elements than the cap, " + number(limits.elements),
              "", {{"tensor", t.name}, {"limit", std::string("elements")}, {"value", t.shape.elements()}});
  }
  if (beyond)
    in.fail(Cursor::truncated, beyond->at,
            "tensor " + beyond->name + " lies at bytes " + number(beyond->offset) + " to " +
                number(beyond->offset + beyond->bytes) + "; expected " + number(end) + " bytes in the file, have " +
                number(size) + ": " + number(end - size) + " are missing",
            "", {{"tensor", beyond->name}, {"expected", end}, {"have", size}, {"missing", end - size}});

  std::vector<uint32_t> order(file.tensors.size());
  std::iota(order.begin(), order.end(), uint32_t{0});
  std::erase_if(order, [&](uint32_t i) { return file.tensors[i].bytes == 0; });
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return file.tensors[a].offset < file.tensors[b].offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    const TensorInfo &a = file.tensors[order[i - 1]], &b = file.tensors[order[i]];
    if (b.offset - a.offset < a.bytes)
      in.fail("GGUFError", b.at,
              "tensors " + a.name + " and " + b.name + " overlap: the first lies at bytes " + number(a.offset) +
                  " to " + number(a.offset + a.bytes) + ", the second starts at " + number(b.offset),
              "", {{"tensor", b.name}, {"other", a.name}});
  }
  bool sizes_known = std::all_of(file.tensors.begin(), file.tensors.end(),
                                 [](const TensorInfo& t) { return block_of(t.type).elements != 0; });
  uint64_t padded_end = end;
  if (!checked::align_up(end, alignment, &padded_end)) padded_end = end;
  if (sizes_known && size > padded_end)
    file.warnings.push_back(in.path() + ": " + number(size - padded_end) +
                            " bytes follow the last tensor and are ignored");
  file.header_bytes = data;
}

}  // namespace

std::unique_ptr<File> gguf::read_part(const std::string& path, const Limits& limits) {
  auto file = std::make_unique<File>();
  file->handles.push_back(open_regular(path));
  file->parts.push_back(path);
  const File::Handle& handle = file->handles.back();
  file->bytes = handle.size;
  Cursor in(handle, path, limits.header_bytes);
  check_magic(in, handle);
  file->kind = "gguf v" + number(read_version(in));
  uint64_t tensors = read_count(in, "tensors", limits.tensors, "tensors", min_tensor_bytes, 8);
  uint64_t keys =
      read_count(in, "metadata keys", limits.metadata_keys, "metadata_keys", min_key_bytes, tensors * min_tensor_bytes);
  read_metadata(in, keys, limits, *file);
  uint64_t alignment = read_alignment(in, *file);
  for (uint64_t i = 0; i < tensors; ++i) file->tensors.push_back(read_entry(in, limits, *file));
  file->index_tensors("GGUFError");
  place_tensors(in, alignment, limits, *file);
  check_unchanged(handle, path);
  return file;
}

}  // namespace cutaway
