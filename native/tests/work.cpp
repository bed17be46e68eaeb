// One piece of work some times, for programs that count instructions (native/tests/instructions.py).
//
//   work INSTRUCTION_SET TIMES linear ROWS DEPTH COLUMNS
//   work INSTRUCTION_SET TIMES attention TOKENS TABLES        sixteen heads of 64; TABLES: 1 with DeBERTa's, 0 without
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "linear/linear.h"

using namespace wordtell;

namespace {

std::mt19937 generator(1);

std::vector<float> numbers(size_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> all(count);
  for (float& value : all) value = normal(generator);
  return all;
}

void* memory(size_t bytes) { return std::aligned_alloc(64, (bytes + 63) / 64 * 64); }

// Rows are quantised and multiplied; a GELU follows.
void linear(Isa isa, int times, int rows, int depth, int columns) {
  std::vector<int8_t> weight(static_cast<size_t>(depth) * columns);
  for (auto& w : weight) w = static_cast<int8_t>(generator());
  const std::vector<float> scale(columns, 1e-3f), x = numbers(static_cast<size_t>(rows) * depth);
  const QuantizedLinear layer({weight.data(), depth, columns, scale.data(), nullptr, nullptr, Activation::gelu}, isa);
  std::vector<Bfloat16> y(static_cast<size_t>(rows) * columns);
  void* scratch = memory(layer.scratch_bytes(rows));
  for (int i = 0; i < times; ++i) {
    layer.quantize(x.data(), depth, 0, rows, scratch);
    layer.multiply(scratch, 0, rows, 0, columns, y.data(), columns);
  }
  std::free(scratch);
}

void attention(Isa isa, int times, int length, bool with_tables) {
  constexpr int heads = 16, size = 64, span = 256, reach = 511, width = heads * size;
  std::vector<int32_t> buckets(2 * reach + 1);
  for (int i = 0; i <= 2 * reach; ++i) buckets[i] = i / 2;
  const std::vector<float> tables = numbers(size_t{heads} * 2 * span * size), qkv = numbers(size_t(length) * width);
  AttentionConstants constants{heads, size};
  if (with_tables) {
    constants.positions = 2 * span;
    constants.position_key = constants.position_query = tables.data();
    constants.buckets = buckets.data();
    constants.reach = reach;
  }
  const Attention layer(constants, Precision::int8, isa);
  std::vector<float> out(qkv.size());
  void* scratch = memory(layer.scratch_bytes(length));
  for (int i = 0; i < times; ++i) {
    for (int head = 0; head < heads; ++head) {
      const float* first = &qkv[head * size];
      layer.run(head, length, first, first, first, width, &out[head * size], width, scratch);
    }
  }
  std::free(scratch);
}

}  // namespace

int main(int count, char** words) {
  const auto number = [&](int i) { return i < count ? std::atoi(words[i]) : 0; };
  for (const Isa isa : available_isas()) {
    if (count < 5 || std::string(words[1]) != name(isa)) continue;
    if (std::string(words[3]) == "linear") return linear(isa, number(2), number(4), number(5), number(6)), 0;
    if (std::string(words[3]) == "attention") return attention(isa, number(2), number(4), number(5) != 0), 0;
  }
  std::fprintf(stderr, "no such work, or no such instruction set here: see the first lines of work.cpp\n");
  return 1;
}
