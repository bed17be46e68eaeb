// An exception of a task on a pool's thread reaches the caller and does not pass through the pool, whose code is C.
#include <atomic>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "ort/operator.h"
#include "tests/check.h"

using namespace wordtell;

namespace {

// Like the runtime's: `total` calls on several threads, then a wait.
OrtStatus* on_threads(const OrtKernelContext*, void (*task)(void*, size_t), size_t total, size_t, void* data) {
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (size_t at = next++; at < total; at = next++) task(data, at);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return nullptr;
}

std::string told;
OrtStatus* tell(OrtErrorCode, const char* message) {
  told = message;
  return reinterpret_cast<OrtStatus*>(&told);
}

}  // namespace

int main(int, char**) {
  // OrtApi is a table of functions of any type.
  using Function = void (*)();
  static Function slots[KernelContextParallelFor::place + 1] = {};
  slots[KernelContextParallelFor::place] = reinterpret_cast<Function>(on_threads);
  slots[CreateStatus::place] = reinterpret_cast<Function>(tell);
  const OrtApi& api = *reinterpret_cast<const OrtApi*>(slots);
  const KernelContext context(api, nullptr);

  std::atomic<int> done{0};
  CHECK(guarded(api, [&] { context.parallel(100, [&](size_t) { ++done; }); }) == nullptr);
  CHECK(done == 100);
  CHECK(guarded(api, [&] { context.parallel(100, [](size_t) { throw std::bad_alloc(); }); }) != nullptr);
  CHECK(told == "std::bad_alloc", "%s", told.c_str());
  const auto seventh = [](size_t i) {
    if (i == 7) throw std::invalid_argument("the seventh");
  };
  CHECK(guarded(api, [&] { context.parallel(100, seventh); }) != nullptr);
  CHECK(told == "the seventh", "%s", told.c_str());
  CHECK(guarded(api, [&] { context.parallel(3, [](size_t) { throw 1; }); }) != nullptr);
  CHECK(told == "an exception of an unknown type", "%s", told.c_str());
  return failures();
}
