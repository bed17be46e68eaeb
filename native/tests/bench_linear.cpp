// Billions of multiply-accumulates per second of each instruction set and shape, by the CPU time of one thread.
// Usage: bench_linear [instruction set [rows...]]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "linear/linear.h"

using namespace wordtell;

namespace {

double cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

// The least CPU time of one call, of all calls within a third of a second.
template <typename Work>
double seconds_of(Work work) {
  double least = 1e9, total = 0;
  for (int i = 0; i < 5 || (total < 0.3 && i < 5000); ++i) {
    const double begin = cpu_seconds();
    work();
    const double took = cpu_seconds() - begin;
    least = std::min(least, took);
    total += took;
  }
  return least;
}

struct Shape {
  const char* name;
  int depth, columns;
  Activation activation;
};

// Shapes of encoders with hidden sizes of 1,024 and 768.
constexpr Shape shapes[] = {{"qkv", 1024, 3072, Activation::none},    {"out", 1024, 1024, Activation::none},
                            {"up+gelu", 1024, 4096, Activation::gelu}, {"down", 4096, 1024, Activation::none},
                            {"qkv", 768, 2304, Activation::none},     {"out", 768, 768, Activation::none},
                            {"up+gelu", 768, 3072, Activation::gelu},  {"down", 3072, 768, Activation::none}};

void measure(Isa isa, const Shape& shape, const std::vector<int>& all_rows) {
  std::mt19937 random(1);
  std::vector<int8_t> weight(static_cast<size_t>(shape.depth) * shape.columns);
  std::normal_distribution<float> normal;
  // As those of a trained matrix, whose columns' largest is 127.
  for (auto& w : weight) w = static_cast<int8_t>(std::clamp(normal(random) * 36, -127.0f, 127.0f));
  std::vector<float> scale(shape.columns, 1e-3f), bias(shape.columns, 0.1f);
  const QuantizedLinear linear(
      {weight.data(), shape.depth, shape.columns, scale.data(), bias.data(), nullptr, shape.activation}, isa);
  for (const int rows : all_rows) {
    std::vector<float> x(static_cast<size_t>(rows) * shape.depth), y(static_cast<size_t>(rows) * shape.columns);
    for (auto& value : x) value = normal(random);
    // Aligned, as in the operators: a tile that crosses cache lines takes several times as long to load.
    void* const scratch = std::aligned_alloc(64, (linear.scratch_bytes(rows) + 63) / 64 * 64);
    const double quantise = seconds_of([&] { linear.quantize(x.data(), shape.depth, 0, rows, scratch); });
    const double multiply = seconds_of([&] { linear.multiply(scratch, 0, rows, y.data(), shape.columns); });
    std::free(scratch);
    const double products = 1e-9 * rows * shape.depth * shape.columns;
    std::printf("%-10s %-8s %4d x %4d x %4d  %8.1f GMAC/s  multiply %8.1f us  quantise %6.1f us\n", name(isa),
                shape.name, rows, shape.depth, shape.columns, products / multiply, multiply * 1e6, quantise * 1e6);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int count, char** words) {
  std::vector<int> rows;
  for (int i = 2; i < count; ++i) rows.push_back(std::atoi(words[i]));
  if (rows.empty()) rows = {1, 16, 66, 128, 455};
  for (const Isa isa : available_isas()) {
    if (count > 1 && std::strcmp(words[1], name(isa)) != 0) continue;
    for (const Shape& shape : shapes) measure(isa, shape, rows);
  }
}
