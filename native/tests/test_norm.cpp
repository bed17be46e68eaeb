// LayerNorm against double precision, and its quantised rows against quantize_rows.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "linear/linear.h"
#include "norm/norm.h"
#include "tests/check.h"

using namespace wordtell;

namespace {

std::mt19937 generator;

std::vector<float> draw(size_t count, float scale = 1, float shift = 0) {
  std::normal_distribution<float> normal(shift, scale);
  std::vector<float> values(count);
  for (auto& value : values) value = normal(generator);
  return values;
}

struct Parts {
  bool residual = true, bias = true, smooth = false, sum = false;
};

void test_layer_norm(Isa isa, int rows, int width, float scale, float shift, Parts parts) {
  const size_t size = static_cast<size_t>(rows) * width;
  std::vector<float> x = draw(size, scale, shift), residual = draw(size, scale), y(size), total(size), smoothed;
  const std::vector<float> gain = draw(width), bias = draw(width), smooth = draw(width);
  if (rows > 2) std::fill_n(x.begin() + width, width, 5.0f), std::fill_n(residual.begin() + width, width, 0.0f);
  std::vector<uint8_t> quantized(rows * quantized_stride(width), 1), expected_rows = quantized;
  const LayerNorm norm{x.data(), parts.residual ? residual.data() : nullptr, gain.data(),
                       parts.bias ? bias.data() : nullptr, parts.smooth ? smooth.data() : nullptr, 1e-7f, rows, width,
                       y.data(), parts.sum ? total.data() : nullptr, quantized.data()};
  add_layer_norm(norm, isa);

  smoothed = y;
  for (size_t i = 0; parts.smooth && i < size; ++i) smoothed[i] *= smooth[i % width];
  quantize_rows(smoothed.data(), width, rows, width, expected_rows.data(), isa);
  for (int r = 0; r < rows; ++r) {
    const size_t begin = r * quantized_stride(width), bytes = quantized_stride(width) - 64;
    CHECK(std::memcmp(&quantized[begin], &expected_rows[begin], bytes + 8) == 0);  // values, scale and zero point
    double mean = 0, variance = 0;
    std::vector<double> sum(width);
    for (int i = 0; i < width; ++i) {
      const size_t at = static_cast<size_t>(r) * width + i;
      sum[i] = parts.residual ? x[at] + residual[at] : x[at];  // the sum is FP32
      if (parts.sum) CHECK(total[at] == sum[i]);
      mean += sum[i] / width;
    }
    for (int i = 0; i < width; ++i) variance += (sum[i] - mean) * (sum[i] - mean) / width;
    // The error from rounding the mean to FP32, if the variance is small beside it.
    const double slack = 1e-5 + 4e-7 * std::fabs(mean) / std::sqrt(variance + norm.epsilon);
    Worst worst;
    for (int i = 0; i < width; ++i) {
      const double scaled = (sum[i] - mean) / std::sqrt(variance + norm.epsilon), shifted = parts.bias ? bias[i] : 0.0;
      const double unit = std::fabs(gain[i]) * (1 + std::fabs(scaled)) + std::fabs(shifted);
      worst.take(y[static_cast<size_t>(r) * width + i], scaled * gain[i] + shifted, unit * slack);
    }
    CHECK(worst.within(1), "%g", worst.value());
  }

  std::vector<float> in_place = x;
  LayerNorm again = norm;
  again.x = again.y = in_place.data();
  again.quantized = nullptr;
  add_layer_norm(again, isa);
  CHECK(std::memcmp(in_place.data(), y.data(), size * sizeof(float)) == 0);
  std::vector<float> alone(width), alone_sum(width);  // the last row alone must give the same bits
  LayerNorm last = norm.rows_from(rows - 1, 1);
  last.y = alone.data();
  last.sum = parts.sum ? alone_sum.data() : nullptr;
  add_layer_norm(last, isa);
  CHECK(std::memcmp(alone.data(), &y[size - width], width * sizeof(float)) == 0);
}

// NaN and infinity make their own row NaN, in FP32 and through the quantised rows, and no other.
void test_what_is_no_number(Isa isa) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    for (const int width : {1, 17, 100}) {
      std::vector<float> x = draw(3 * width), y(3 * width);
      const std::vector<float> gain(width, 1.0f);
      x[width + width / 2] = bad;
      std::vector<uint8_t> rows(3 * quantized_stride(width));
      add_layer_norm({x.data(), nullptr, gain.data(), nullptr, nullptr, 1e-7f, 3, width, y.data(), nullptr, rows.data()},
                     isa);
      for (int r = 0; r < 3; ++r) {
        float scale;
        std::memcpy(&scale, &rows[(r + 1) * quantized_stride(width) - 64], sizeof scale);
        CHECK(std::isnan(scale) == (r == 1));
        for (int i = 0; i < width; ++i) CHECK(std::isnan(y[r * width + i]) == (r == 1));
      }
    }
  }
}

}  // namespace

int main(int count, char** words) {
  const Arguments given = arguments(count, words);
  generator.seed(given.seed);
  for (const Isa isa : given.isas) {
    for (const int width : {1, 3, 16, 63, 64, 65, 100, 768, 1000, 1024}) {
      test_layer_norm(isa, 5, width, 1.0f, 0.0f, {});
      test_layer_norm(isa, 3, width, 0.1f, 100.0f, {false, true, true, true});
      test_layer_norm(isa, 4, width, 1000.0f, -3.0f, {true, false, true, false});
      test_layer_norm(isa, 2, width, 1.0f, 1.0f, {true, true, false, true});
    }
    test_what_is_no_number(isa);
    std::printf("layer norm, %s: %s\n", name(isa), failure_count() == 0 ? "hold" : "FAIL");
  }
  return failures();
}
