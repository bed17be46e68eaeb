// Memory that a thread works in and keeps for its next call.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace wordtell {

// Owner: any type; each has memory of its own.
template <typename Owner = void>
class Scratch {
 public:
  // At least `bytes` for this thread, aligned to a cache line, with undefined content; valid until the next call.
  static void* of_this_thread(size_t bytes) {
    thread_local Scratch scratch;
    if (bytes > scratch.bytes_) {
      scratch.memory_.reset();
      scratch.bytes_ = 0;
      const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
      void* memory = std::aligned_alloc(kAlignment, rounded);
      if (memory == nullptr) throw std::bad_alloc();
      scratch.memory_.reset(memory);
      scratch.bytes_ = rounded;
    }
    return scratch.memory_.get();
  }

 private:
  static constexpr size_t kAlignment = 64;
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  size_t bytes_ = 0;
};

}  // namespace wordtell
