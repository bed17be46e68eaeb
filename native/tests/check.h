// The whole test framework: a failed CHECK says where, and the program's exit code tells.
#pragma once

#include <cstdio>

namespace wordtell::tests {
inline int failures = 0;
inline int checks = 0;
}  // namespace wordtell::tests

#define CHECK(condition, ...)                                      \
  do {                                                             \
    ++wordtell::tests::checks;                                     \
    if (!(condition)) {                                            \
      ++wordtell::tests::failures;                                 \
      std::fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      std::fprintf(stderr, __VA_ARGS__);                           \
      std::fprintf(stderr, "\n");                                  \
    }                                                              \
  } while (false)

#define FINISH()                                                                              \
  do {                                                                                        \
    std::printf("%d checks, %d failures\n", wordtell::tests::checks, wordtell::tests::failures); \
    return wordtell::tests::failures == 0 ? 0 : 1;                                            \
  } while (false)
