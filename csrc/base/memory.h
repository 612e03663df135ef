// Memory of the host for blocks that are streamed: side by side on huge pages where the system has them. What was given
// back is kept for the next block, up to a limit: asking the system again costs more than many a kernel, page by page.
#pragma once

#include <cstddef>

namespace cutaway {

// At least 64-byte aligned, uninitialised; raises OutOfMemoryError.
void* allocate_pages(size_t bytes);

// Gives a block of so many bytes back; nothing where it is null.
void free_pages(void* block, size_t bytes) noexcept;

}  // namespace cutaway
