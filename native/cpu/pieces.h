// One piece of memory cut into the arrays of a kernel.
#pragma once

#include <cstddef>

namespace wordtell {
namespace {

// Hands out pieces aligned to cache lines, or only counts them when there is no memory.
class Pieces {
 public:
  explicit Pieces(void* memory) : next_(static_cast<char*>(memory)) {}
  template <typename T>
  T* take(size_t count) {
    T* piece = reinterpret_cast<T*>(next_ + used_);
    used_ += (count * sizeof(T) + 63) / 64 * 64;
    return piece;
  }
  size_t used() const { return used_; }

 private:
  char* next_;
  size_t used_ = 0;
};

}  // namespace
}  // namespace wordtell
