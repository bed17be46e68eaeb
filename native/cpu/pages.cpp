#include "cpu/pages.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace wordtell {
namespace {

constexpr size_t kLine = 64, kPage = size_t{2} << 20;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kChunk = 0;  // each piece by itself, so that reading beyond it is found
#else
constexpr size_t kChunk = size_t{32} << 20;
#endif

size_t rounded(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

// Memory that is not touched costs nothing, so the unused end of a chunk does not count.
struct Chunk {
  explicit Chunk(size_t size) : bytes(size), memory(static_cast<int8_t*>(std::aligned_alloc(kChunk ? kPage : kLine, size))) {
    if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (kChunk != 0) madvise(memory, bytes, MADV_HUGEPAGE);  // advice: without it the pages are small
#endif
  }
  ~Chunk() { std::free(memory); }
  Chunk(const Chunk&) = delete;
  Chunk& operator=(const Chunk&) = delete;

  size_t bytes, used = 0;
  int8_t* memory;
};

}  // namespace

std::shared_ptr<int8_t> zeroed_pages(size_t bytes) {
  static std::mutex mutex;
  static std::weak_ptr<Chunk> latest;
  const std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<Chunk> chunk = latest.lock();
  if (chunk == nullptr || chunk->bytes - chunk->used < bytes) {
    chunk = std::make_shared<Chunk>(std::max(kChunk, rounded(bytes, kChunk ? kPage : kLine)));
    latest = chunk;
  }
  int8_t* piece = chunk->memory + chunk->used;
  chunk->used = std::min(chunk->bytes, rounded(chunk->used + bytes, kLine));
  std::memset(piece, 0, bytes);
  return {chunk, piece};
}

}  // namespace wordtell
