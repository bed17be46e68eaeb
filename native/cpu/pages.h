// Memory for weights, in large pages where the system has them: a short text reads all weights once, and with pages of
// 4 KiB a tenth of its time goes into finding them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace wordtell {

// Zeros, aligned to a cache line. Pieces lie one after another in chunks of some megabytes; a chunk is given back with the
// last of its pieces. Throws std::bad_alloc.
std::shared_ptr<int8_t> zeroed_pages(size_t bytes);

}  // namespace wordtell
