#include "base/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "base/error.h"

namespace cutaway {

void* allocate_pages(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  // What is left at the end of a block is not on a huge page, or every weight would cost half of one more than it
  // holds.
  const size_t alignment = bytes >= kHugePage ? kHugePage : 64, rounded = (bytes + 63) / 64 * 64;
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, std::max<size_t>(rounded, 64))) memory = nullptr;
  if (!memory)
    throw Error("OutOfMemoryError", "the operating system refused " + std::to_string(bytes) + " bytes", "",
                {{"bytes", static_cast<uint64_t>(bytes)}});
  if (alignment == kHugePage) madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  return memory;
}

}  // namespace cutaway
