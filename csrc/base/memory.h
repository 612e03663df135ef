// Memory of the host for large blocks that are streamed: on huge pages where the system has them.
#pragma once

#include <cstddef>

namespace cutaway {

// At least 64-byte aligned, uninitialised, given back with std::free; raises OutOfMemoryError.
void* allocate_pages(size_t bytes);

}  // namespace cutaway
