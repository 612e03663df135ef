#include "base/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>
#include <string>

#include "base/error.h"

namespace cutaway {
namespace {

constexpr size_t kHugePage = size_t{2} << 20, kRegion = size_t{16} << 20, kKept = size_t{128} << 20, kLine = 64;

size_t round_up(size_t bytes, size_t to) { return (std::max<size_t>(bytes, 1) + to - 1) / to * to; }

[[noreturn]] void refused(size_t bytes) {
  throw Error("OutOfMemoryError", "the operating system refused " + std::to_string(bytes) + " bytes", "",
              {{"bytes", static_cast<uint64_t>(bytes)}});
}

// So many whole huge pages, or null.
std::byte* map_pages(size_t bytes) {
  void* mapped = mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* begin = static_cast<std::byte*>(mapped);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  if (before) munmap(begin, before);
  begin += before;
  munmap(begin + bytes, kHugePage - before);
  madvise(begin, bytes, MADV_HUGEPAGE);
  return begin;
}

// Blocks are cut out of regions of whole huge pages, each out of the smallest gap that holds it. A large block makes a
// region, whose rest others use.
class Heap {
 public:
  std::byte* allocate(size_t bytes) {
    std::lock_guard lock(mutex_);
    Region* best = nullptr;
    std::map<std::byte*, size_t>::iterator gap;
    for (auto& [end, region] : regions_)
      for (auto at = region.gaps.begin(); at != region.gaps.end(); ++at)
        if (at->second >= bytes && (!best || at->second < gap->second)) best = &region, gap = at;
    if (!best) {
      const size_t size = std::max(round_up(bytes, kHugePage), kRegion);
      std::byte* begin = map_pages(size);
      if (!begin) return nullptr;
      best = &(regions_[begin + size] = {begin, size, {{begin, size}}});
      gap = best->gaps.begin();
      unused_ += size;
    }
    if (gap->second == best->bytes) unused_ -= best->bytes;
    const auto [begin, room] = *gap;
    best->gaps.erase(gap);
    if (room > bytes) best->gaps.emplace(begin + bytes, room - bytes);
    return begin;
  }

  // False where the block is not of this heap.
  bool release(std::byte* block, size_t bytes) {
    std::lock_guard lock(mutex_);
    const auto found = regions_.upper_bound(block);
    if (found == regions_.end() || block < found->second.begin) return false;
    auto& [begin, size, gaps] = found->second;
    auto gap = gaps.emplace(block, bytes).first;
    const auto after = std::next(gap);
    if (after != gaps.end() && block + bytes == after->first) gap->second += after->second, gaps.erase(after);
    if (gap != gaps.begin()) {
      const auto before = std::prev(gap);
      if (before->first + before->second == block) before->second += gap->second, gaps.erase(gap), gap = before;
    }
    if (gap->second < size) return true;
    if (unused_ + size <= kKept) {
      unused_ += size;
    } else {
      munmap(begin, size);
      regions_.erase(found);
    }
    return true;
  }

 private:
  struct Region {
    std::byte* begin;
    size_t bytes;
    std::map<std::byte*, size_t> gaps;  // where they begin, and their bytes
  };
  std::mutex mutex_;
  std::map<std::byte*, Region> regions_;  // by where they end
  size_t unused_ = 0;                     // bytes of regions without a block
};

Heap& heap() {
  static Heap* all = new Heap;  // never destroyed: arrays in Python may outlive everything static
  return *all;
}

}  // namespace

// The address sanitizer watches the borders of blocks that it has made itself.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kOwnHeap = false;
#else
constexpr bool kOwnHeap = true;
#endif

void* allocate_once(size_t bytes) {
  if (kOwnHeap && bytes >= kHugePage) return allocate_pages(bytes);
  void* block = bytes <= SIZE_MAX / 2 ? std::aligned_alloc(kLine, round_up(bytes, kLine)) : nullptr;
  if (!block) refused(bytes);
  return block;
}

void* allocate_pages(size_t bytes) {
  if (!kOwnHeap) return allocate_once(bytes);
  void* block = bytes <= SIZE_MAX / 2 ? heap().allocate(round_up(bytes, kLine)) : nullptr;
  if (!block) refused(bytes);
  return block;
}

void free_pages(void* block, size_t bytes) noexcept {
  if (block && !(kOwnHeap && heap().release(static_cast<std::byte*>(block), round_up(bytes, kLine)))) std::free(block);
}

}  // namespace cutaway
