// CHECK(condition[, format, ...]) says where a condition does not hold and lets the program go on; `return failures()`
// ends main.
#pragma once

#include <cstdarg>
#include <cstdio>

namespace wordtell {

inline int& failure_count() {
  static int count = 0;
  return count;
}

inline void fail(const char* file, int line, const char* condition, const char* format = "", ...) {
  ++failure_count();
  std::fprintf(stderr, "%s:%d: not so: %s ", file, line, condition);
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fputc('\n', stderr);
}

inline int failures() {
  if (failure_count() != 0) std::fprintf(stderr, "%d checks failed\n", failure_count());
  return failure_count() == 0 ? 0 : 1;
}

}  // namespace wordtell

#define CHECK(condition, ...)                                                                     \
  do {                                                                                            \
    if (!(condition)) wordtell::fail(__FILE__, __LINE__, #condition , ##__VA_ARGS__); \
  } while (false)
