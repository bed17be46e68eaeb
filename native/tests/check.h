// CHECK(condition[, format, ...]) prints where a condition does not hold, and continues. `return failures()` ends main.
#pragma once

#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "cpu/instruction_sets.h"

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

// The largest distance of results from expected ones, in units of the allowed distance. NaN instead of a number counts
// as infinite; a plain maximum would lose it, because comparisons with NaN are false.
class Worst {
 public:
  void take(double found, double expected, double unit = 1) {
    const double distance = found == expected ? 0 : std::fabs(found - expected) / unit;
    if (!(distance <= worst_)) worst_ = std::isnan(distance) ? INFINITY : distance;
  }
  double value() const { return worst_; }
  bool within(double limit) const { return worst_ <= limit; }

 private:
  double worst_ = 0;
};

// program [random shapes beyond the fixed ones] [seed] [short|long] [instruction set...]
struct Arguments {
  int shapes;
  unsigned seed;
  bool brief;  // without long shapes
  std::vector<Isa> isas;
};
inline Arguments arguments(int count, char** words) {
  Arguments given{count > 1 ? std::atoi(words[1]) : 20, count > 2 ? static_cast<unsigned>(std::atoi(words[2])) : 1u,
                  count > 3 && std::string(words[3]) == "short", available_isas()};
  if (count <= 4) return given;
  given.isas.clear();
  for (int i = 4; i < count; ++i) {
    bool found = false;
    for (const Isa isa : available_isas()) {
      if (std::string(words[i]) == name(isa)) given.isas.push_back(isa), found = true;
    }
    if (!found) fail(__FILE__, __LINE__, words[i], "is not available here");
  }
  return given;
}

}  // namespace wordtell

#define CHECK(condition, ...)                                                                     \
  do {                                                                                            \
    if (!(condition)) wordtell::fail(__FILE__, __LINE__, #condition , ##__VA_ARGS__); \
  } while (false)
