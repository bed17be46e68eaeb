// QuantizedLinear in every instruction set that this processor has, against exact integers and double precision.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "linear/linear.h"
#include "tests/check.h"
#include "tests/guarded.h"

using namespace wordtell;

namespace {

std::mt19937 generator;
int random_shapes;
bool brief;

int pick(int least, int most) { return std::uniform_int_distribution<int>(least, most)(generator); }

struct Problem {
  int rows, depth, columns;
  Activation activation;
  std::vector<float> x;
  std::vector<int8_t> weight;
  std::vector<float> scale, bias, smooth;
  bool gated = false;

  QuantizedLinear pack(Isa isa) const {
    LinearConstants constants{weight.data(), depth, columns, scale.data()};
    if (!bias.empty()) constants.bias = bias.data();
    if (!smooth.empty()) constants.smooth = smooth.data();
    constants.activation = activation;
    constants.gated = gated;
    return QuantizedLinear(constants, isa);
  }
};

Problem make_problem(int rows, int depth, int columns, Activation activation = Activation::none) {
  Problem p{rows, depth, columns, activation, {}, {}, {}, {}, {}};
  std::normal_distribution<float> normal;
  for (int i = 0; i < rows * depth; ++i) p.x.push_back(normal(generator));
  for (int i = 0; i < depth * columns; ++i) p.weight.push_back(static_cast<int8_t>(pick(-128, 127)));
  for (int c = 0; c < columns; ++c) p.scale.push_back(std::exp(normal(generator)) * 0.01f);
  for (int c = 0; c < columns; ++c) p.bias.push_back(normal(generator));
  return p;
}

struct ReferenceRow {
  float scale;
  int zero_point;
  std::vector<int> values;
};

ReferenceRow quantize(const float* x, int depth) {
  float least = 0, most = 0;
  for (int k = 0; k < depth; ++k) least = std::fmin(least, x[k]), most = std::fmax(most, x[k]);
  ReferenceRow row{(most / 2 - least / 2) / 127.5f, 0, {}};
  if (row.scale < 1e-37f) row.scale = 1;
  const float inverse = 1 / row.scale;
  row.zero_point = static_cast<int>(std::nearbyint(-least * inverse));
  for (int k = 0; k < depth; ++k) {
    const int value = static_cast<int>(std::nearbyint(x[k] * inverse)) + row.zero_point;
    row.values.push_back(value < 0 ? 0 : value > 255 ? 255 : value);
  }
  return row;
}

// Quantises and multiplies. The output has `spare` values after each row, which must not change.
std::vector<float> run(const QuantizedLinear& linear, const std::vector<float>& x, int rows, int spare = 3) {
  const int stride = linear.columns() + spare;
  Guarded<float> from(x);
  Guarded<uint8_t> scratch(linear.scratch_bytes(rows));
  std::vector<float> y(static_cast<size_t>(rows) * stride, 77.0f), packed;
  linear.quantize(from.data(), linear.depth(), 0, rows, scratch.data());
  linear.multiply(scratch.data(), 0, rows, y.data(), stride);
  for (int r = 0; r < rows; ++r) {
    for (int c = linear.columns(); c < stride; ++c) CHECK(y[r * stride + c] == 77.0f);
    packed.insert(packed.end(), y.begin() + r * stride, y.begin() + r * stride + linear.columns());
  }
  return packed;
}

double activated(Activation activation, double x) {
  switch (activation) {
    case Activation::gelu: return x * std::erfc(-x / std::sqrt(2.0)) / 2;
    case Activation::gelu_tanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case Activation::relu: return x > 0 ? x : 0;
    case Activation::silu: return x / (1 + std::exp(-x));
    default: return x;
  }
}

// The outputs by the formula for quantised rows, and the allowed rounding error of each.
void compare(const Problem& p, const std::vector<float>& y) {
  const int outputs = p.gated ? p.columns / 2 : p.columns;
  Worst worst;
  for (int r = 0; r < p.rows; ++r) {
    std::vector<float> x(&p.x[static_cast<size_t>(r) * p.depth], &p.x[static_cast<size_t>(r) * p.depth] + p.depth);
    for (int k = 0; k < p.depth && !p.smooth.empty(); ++k) x[k] *= p.smooth[k];
    const ReferenceRow row = quantize(x.data(), p.depth);
    std::vector<int64_t> sums(p.columns);
    for (int k = 0; k < p.depth; ++k) {
      const int8_t* w = &p.weight[static_cast<size_t>(k) * p.columns];
      for (int c = 0; c < p.columns; ++c) sums[c] += int64_t{row.values[k] - row.zero_point} * w[c];
    }
    const auto linear = [&](int c, double* unit) {
      const double product = double{row.scale} * p.scale[c] * sums[c], bias = p.bias.empty() ? 0.0 : p.bias[c];
      *unit = std::fabs(product) + std::fabs(bias) + 1e-30;
      return product + bias;
    };
    for (int c = 0; c < outputs; ++c) {
      double unit, gate_unit;
      double expected = activated(p.activation, linear(c, &unit));
      if (p.activation != Activation::none) unit += 0.1;  // 1e-6 absolute
      if (p.gated) {
        const double gate = linear(outputs + c, &gate_unit);
        unit = unit * std::fabs(gate) + gate_unit * std::fabs(expected) + 1e-30;
        expected *= gate;
      }
      worst.take(y[static_cast<size_t>(r) * outputs + c], expected, unit);
    }
  }
  CHECK(worst.within(1e-5), "%d x %d x %d: %g", p.rows, p.depth, p.columns, worst.value());
}

std::vector<float> drawn_factors(int count) {
  std::vector<float> factors(count);
  for (float& factor : factors) factor = std::uniform_real_distribution<float>(0.3f, 3.0f)(generator);
  return factors;
}

bool same_bits(const float* a, const float* b, size_t count) { return std::memcmp(a, b, count * sizeof *a) == 0; }

void test_shapes(Isa isa) {
  const int shapes[][3] = {{1, 1, 1},    {1, 64, 16},   {2, 63, 17},   {5, 65, 31},  {16, 128, 64}, {17, 100, 33},
                           {31, 7, 129}, {32, 256, 96}, {33, 200, 65}, {66, 64, 47}, {455, 96, 48}, {700, 33, 35},
                           {3, 4096, 5}, {200, 8192, 33}};
  for (const auto& s : shapes) {
    if (brief && s[0] * s[1] > 100000) continue;
    for (const Activation activation : {Activation::none, Activation::gelu}) {
      const Problem p = make_problem(s[0], s[1], s[2], activation);
      compare(p, run(p.pack(isa), p.x, p.rows));
    }
  }
  for (int i = 0; i < random_shapes; ++i) {
    Problem p = make_problem(pick(1, 100), pick(1, 300), pick(1, 200), static_cast<Activation>(pick(0, 4)));
    if (pick(0, 1)) p.bias.clear();
    if (pick(0, 1)) p.smooth = drawn_factors(p.depth);
    p.gated = p.columns % 2 == 0 && pick(0, 1);
    compare(p, run(p.pack(isa), p.x, p.rows, pick(0, 2)));
  }
}

// Integers with scales of 1 give exact integers, also at the limits of u8 and s8.
void test_exact_sums(Isa isa) {
  for (const int low : {0, -128, -255}) {
    Problem p = make_problem(19, 500, 70);
    p.bias.clear();
    p.scale.assign(p.columns, 1.0f);
    for (auto& value : p.x) value = static_cast<float>(pick(0, 3) ? low + 255 * pick(0, 1) : pick(low, low + 255));
    for (auto& w : p.weight) w = static_cast<int8_t>(pick(0, 3) ? (pick(0, 1) ? 127 : -128) : pick(-128, 127));
    for (int r = 0; r < p.rows; ++r) p.x[r * p.depth] = low, p.x[r * p.depth + 1] = low + 255;
    const std::vector<float> y = run(p.pack(isa), p.x, p.rows);
    for (int r = 0; r < p.rows; ++r) {
      for (int c = 0; c < p.columns; ++c) {
        int64_t sum = 0;
        for (int k = 0; k < p.depth; ++k) sum += int64_t(p.x[r * p.depth + k]) * p.weight[k * p.columns + c];
        CHECK(y[r * p.columns + c] == static_cast<float>(sum));
      }
    }
  }
}

void test_quantized_bytes(Isa isa) {
  for (int i = 0; i < 30; ++i) {
    const int depth = i < 20 ? pick(1, 200) : 1024 + i;
    Problem p = make_problem(9, depth, 1);
    for (int k = 0; k < depth; ++k) {
      p.x[depth + k] = 0;
      p.x[2 * depth + k] = -2.5f;                                     // constant rows
      p.x[3 * depth + k] = 1e-3f;
      p.x[4 * depth + k] *= 1e-42f;                                   // denormal
      p.x[5 * depth + k] = k % 2 ? 3.4e38f : -3.4e38f;                // the range itself overflows
      p.x[6 * depth + k] = std::fabs(p.x[6 * depth + k]);             // one sign
      p.x[7 * depth + k] = -std::fabs(p.x[7 * depth + k]);
    }
    p.x[8 * depth + depth / 2] = 1e9f;  // an outlier leaves few steps for its own row only
    const ptrdiff_t stride = quantized_stride(depth);
    std::vector<uint8_t> rows(9 * stride, 99);
    quantize_rows(p.x.data(), depth, 9, depth, rows.data(), isa);
    for (int r = 0; r < 9; ++r) {
      const ReferenceRow row = quantize(&p.x[r * depth], depth);
      for (int k = 0; k < depth; ++k) CHECK(rows[r * stride + k] == row.values[k]);
      float scale;
      int32_t zero_point;
      std::memcpy(&scale, &rows[(r + 1) * stride - 64], sizeof scale);
      std::memcpy(&zero_point, &rows[(r + 1) * stride - 60], sizeof zero_point);
      CHECK(scale == row.scale && zero_point == row.zero_point);
    }
    for (const float value : run(p.pack(isa), p.x, 9)) CHECK(!std::isnan(value));
    p.x.erase(p.x.begin() + 5 * depth, p.x.begin() + 6 * depth);  // its products may overflow
    p.rows = 8;
    compare(p, run(p.pack(isa), p.x, p.rows));
  }
}

// A row gives the same bits alone, with others, and in any blocks of rows and columns.
void test_independence(Isa isa) {
  for (const auto& shape : {std::vector<int>{75, 130, 200}, {40, 1024, 96}, {9, 64, 64}, {230, 4096, 70}}) {
    if (brief && shape[0] > 100) continue;
    const Problem p = make_problem(shape[0], shape[1], shape[2], Activation::gelu);
    const QuantizedLinear linear = p.pack(isa);
    const std::vector<float> whole = run(linear, p.x, p.rows);
    for (const int r : {0, p.rows / 2, p.rows - 1}) {
      const std::vector<float> row(p.x.begin() + r * p.depth, p.x.begin() + (r + 1) * p.depth);
      CHECK(same_bits(run(linear, row, 1).data(), &whole[static_cast<size_t>(r) * p.columns], p.columns));
    }
    std::vector<float> parts(whole.size(), -1);
    std::vector<uint8_t> scratch(linear.scratch_bytes(p.rows));
    for (int begin = 0, end; begin < p.rows; begin = end) {
      end = std::min(p.rows, begin + pick(1, 40));
      linear.quantize(p.x.data(), p.depth, begin, end, scratch.data());
      for (int left = 0, right; left < p.columns; left = right) {
        right = std::min(p.columns, left + linear.panel() * pick(1, 2));
        linear.multiply(scratch.data(), begin, end, left, right, parts.data(), p.columns);
      }
    }
    CHECK(same_bits(parts.data(), whole.data(), whole.size()));
    // Two threads at the same time, each with half of the columns.
    const int middle = p.columns / 2 / linear.panel() * linear.panel();
    std::fill(parts.begin(), parts.end(), -1.0f);
    std::thread left([&] { linear.multiply(scratch.data(), 0, p.rows, 0, middle, parts.data(), p.columns); });
    std::thread right([&] { linear.multiply(scratch.data(), 0, p.rows, middle, p.columns, parts.data(), p.columns); });
    left.join();
    right.join();
    CHECK(same_bits(parts.data(), whole.data(), whole.size()));
  }
}

Bfloat16 rounded(float value) {  // to nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<Bfloat16>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float widened(Bfloat16 half) {
  const uint32_t bits = uint32_t{half} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Outputs in bfloat16 are the rounded ones in FP32; activations in bfloat16 quantise like the same numbers in FP32.
void test_halves(Isa isa) {
  for (int i = 0; i < 30; ++i) {
    const Problem p = make_problem(pick(1, 70), pick(1, 300), pick(1, 200), pick(0, 1) ? Activation::gelu : Activation::none);
    const QuantizedLinear linear = p.pack(isa);
    std::vector<uint8_t> scratch(linear.scratch_bytes(p.rows));
    linear.quantize(p.x.data(), p.depth, 0, p.rows, scratch.data());
    const int stride = p.columns + pick(0, 3);
    std::vector<float> y(static_cast<size_t>(p.rows) * stride, 77.0f);
    std::vector<Bfloat16> halves(y.size(), rounded(77.0f));
    linear.multiply(scratch.data(), 0, p.rows, y.data(), stride);
    linear.multiply(scratch.data(), 0, p.rows, 0, p.columns, halves.data(), stride);
    for (size_t at = 0; at < y.size(); ++at) CHECK(halves[at] == rounded(y[at]));

    for (size_t at = 0; at < y.size(); ++at) y[at] = widened(halves[at]);
    std::vector<uint8_t> want(p.rows * quantized_stride(p.columns), 1), got(want.size(), 2);
    quantize_rows(y.data(), stride, p.rows, p.columns, want.data(), isa);
    quantize_rows(halves.data(), stride, p.rows, p.columns, got.data(), isa);
    for (int r = 0; r < p.rows; ++r) {
      const size_t begin = r * quantized_stride(p.columns), bytes = quantized_stride(p.columns) - 64 + 8;
      CHECK(std::memcmp(&want[begin], &got[begin], bytes) == 0);
    }
  }
}

void test_activation(Isa isa, Activation activation) {
  Problem p = make_problem(24001, 1, 1, activation);
  p.weight = {1};
  p.bias = {0};
  for (int r = 0; r < p.rows; ++r) p.x[r] = (r - 12000) / 1000.0f;
  p.scale = {1.0f};
  const std::vector<float> y = run(p.pack(isa), p.x, p.rows);
  Worst worst;
  for (int r = 0; r < p.rows; ++r) worst.take(y[r], activated(activation, p.x[r]), 1e-6 + 2e-7 * std::fabs(p.x[r]));
  CHECK(worst.within(1), "activation %d: %g", static_cast<int>(activation), worst.value());
}

// NaN and infinity make their own row NaN and no other, with every activation function and in both types.
void test_what_is_no_number(Isa isa) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    for (int a = 0; a < 5; ++a) {
      Problem p = make_problem(9, 70, 40, static_cast<Activation>(a));
      p.gated = pick(0, 1);
      p.x[4 * p.depth + pick(0, p.depth - 1)] = bad;
      const QuantizedLinear linear = p.pack(isa);
      std::vector<Bfloat16> halves;
      for (const float x : p.x) halves.push_back(rounded(x));
      std::vector<uint8_t> scratch(linear.scratch_bytes(p.rows));
      for (const bool narrow : {false, true}) {
        std::vector<float> y(static_cast<size_t>(p.rows) * linear.columns());
        std::vector<Bfloat16> y_halves(y.size());
        if (narrow) {
          linear.quantize(halves.data(), p.depth, 0, p.rows, scratch.data());
        } else {
          linear.quantize(p.x.data(), p.depth, 0, p.rows, scratch.data());
        }
        linear.multiply(scratch.data(), 0, p.rows, y.data(), linear.columns());
        linear.multiply(scratch.data(), 0, p.rows, 0, linear.columns(), y_halves.data(), linear.columns());
        for (size_t at = 0; at < y.size(); ++at) {
          const bool own = at / linear.columns() == 4;
          CHECK(std::isnan(y[at]) == own && std::isnan(widened(y_halves[at])) == own);
        }
      }
    }
  }
}

template <typename Work>
bool refuses(Work work) {
  try {
    work();
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

void test_refusals(Isa isa) {
  const Problem p = make_problem(1, 4, 200);
  const QuantizedLinear linear = p.pack(isa);
  std::vector<uint8_t> scratch(linear.scratch_bytes(1));
  std::vector<float> y(200);
  CHECK(refuses([&] { linear.multiply(scratch.data(), 0, 1, 1, 200, y.data(), 200); }));
  CHECK(refuses([&] { linear.multiply(scratch.data(), 0, 1, 0, 99, y.data(), 200); }));
  CHECK(refuses([&] { linear.multiply(scratch.data(), 0, 1, 0, 256, y.data(), 200); }));
  CHECK(refuses([&] { QuantizedLinear({nullptr, 0, 1, nullptr}, isa); }));
  CHECK(refuses([&] { QuantizedLinear({nullptr, 32768, 1, nullptr}, isa); }));
  LinearConstants odd{nullptr, 1, 3, nullptr};
  odd.gated = true;
  CHECK(refuses([&] { QuantizedLinear(odd, isa); }));
}

}  // namespace

int main(int count, char** words) {
  const Arguments given = arguments(count, words);
  random_shapes = given.shapes;
  brief = given.brief;
  generator.seed(given.seed);
  for (const Isa isa : given.isas) {
    test_shapes(isa);
    test_exact_sums(isa);
    test_quantized_bytes(isa);
    test_independence(isa);
    test_halves(isa);
    for (int a = 0; a < 5; ++a) test_activation(isa, static_cast<Activation>(a));
    test_what_is_no_number(isa);
    test_refusals(isa);
    std::printf("quantised linear, %s: %s\n", name(isa), failure_count() == 0 ? "holds" : "FAILS");
  }
  return failures();
}
