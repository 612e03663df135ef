// Memory of the host for blocks that are streamed, on huge pages where the system has them. What was given back is kept
// for the next block, up to a limit: fresh pages cost more time than many a kernel that fills them.
#pragma once

#include <cstddef>

namespace cutaway {

// At least 64-byte aligned, uninitialised; raises OutOfMemoryError.
void* allocate_pages(size_t bytes);

// The same for what stays as long as a model does. A small block is on ordinary pages, which are at hand sooner.
void* allocate_once(size_t bytes);

// Gives a block of so many bytes back; nothing where it is null.
void free_pages(void* block, size_t bytes) noexcept;

}  // namespace cutaway
