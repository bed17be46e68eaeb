// Memory that ends at a protected page, so that a read or write beyond its end stops the program.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <vector>

namespace wordtell {

template <typename T>
class Guarded {
 public:
  // Filled with 0xff, which is NaN as floats, so that a read before the first write shows in the result.
  explicit Guarded(size_t count) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), bytes = count * sizeof(T);
    whole_ = (bytes + page - 1) / page * page + page;
    memory_ = mmap(nullptr, whole_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    char* guard = static_cast<char*>(memory_) + whole_ - page;
    mprotect(guard, page, PROT_NONE);
    data_ = reinterpret_cast<T*>(guard - bytes);
    std::memset(static_cast<void*>(data_), 0xff, bytes);
  }
  explicit Guarded(const std::vector<T>& values) : Guarded(values.size()) {
    std::memcpy(static_cast<void*>(data_), values.data(), values.size() * sizeof(T));
  }
  ~Guarded() { munmap(memory_, whole_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  T* data() { return data_; }

 private:
  void* memory_;
  size_t whole_;
  T* data_;
};

}  // namespace wordtell
