// LayerNorm against double precision, and its quantised rows against quantize_rows.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "../linear.h"
#include "../norm.h"
#include "check.h"

using namespace wordtell;

namespace {

std::mt19937 generator(20261123);

std::vector<float> draw(size_t count, float scale = 1, float shift = 0) {
  std::normal_distribution<float> normal(shift, scale);
  std::vector<float> values(count);
  for (auto& value : values) value = normal(generator);
  return values;
}

void test_layer_norm(Isa isa, int rows, int width, float scale, float shift, bool with_residual) {
  const size_t size = static_cast<size_t>(rows) * width;
  std::vector<float> x = draw(size, scale, shift), residual = draw(size, scale), y(size);
  const std::vector<float> gain = draw(width), bias = draw(width);
  if (rows > 2) std::fill_n(x.begin() + width, width, 5.0f), std::fill_n(residual.begin() + width, width, 0.0f);
  const float epsilon = 1e-7f;
  const float* added = with_residual ? residual.data() : nullptr;
  std::vector<uint8_t> quantized(rows * quantized_stride(width), 1), expected_rows = quantized;
  add_layer_norm(x.data(), added, gain.data(), bias.data(), epsilon, rows, width, y.data(), quantized.data(), isa);

  quantize_rows(y.data(), width, rows, width, expected_rows.data(), isa);
  for (int r = 0; r < rows; ++r) {
    const size_t begin = r * quantized_stride(width), bytes = quantized_stride(width) - 64;
    CHECK(std::memcmp(&quantized[begin], &expected_rows[begin], bytes + 8) == 0);  // values, scale and zero point
    double mean = 0, variance = 0, worst = 0;
    std::vector<double> sum(width);
    for (int i = 0; i < width; ++i) {
      const size_t at = static_cast<size_t>(r) * width + i;
      sum[i] = with_residual ? x[at] + residual[at] : x[at];  // the sum itself is FP32
      mean += sum[i] / width;
    }
    for (int i = 0; i < width; ++i) variance += (sum[i] - mean) * (sum[i] - mean) / width;
    // What rounding of the mean to FP32 may do where the variance is small beside it.
    const double slack = 1e-5 + 4e-7 * std::fabs(mean) / std::sqrt(variance + epsilon);
    for (int i = 0; i < width; ++i) {
      const double scaled = (sum[i] - mean) / std::sqrt(variance + epsilon), expected = scaled * gain[i] + bias[i];
      const double unit = std::fabs(gain[i]) * (1 + std::fabs(scaled)) + std::fabs(bias[i]);
      worst = std::fmax(worst, std::fabs(y[static_cast<size_t>(r) * width + i] - expected) / unit / slack);
    }
    CHECK(worst < 1);
  }

  std::vector<float> in_place = x;
  add_layer_norm(in_place.data(), added, gain.data(), bias.data(), epsilon, rows, width, in_place.data(), nullptr, isa);
  CHECK(std::memcmp(in_place.data(), y.data(), size * sizeof(float)) == 0);
  std::vector<float> alone(width);  // the last row alone: the same bits
  const size_t last = size - width;
  add_layer_norm(&x[last], with_residual ? &residual[last] : nullptr, gain.data(), bias.data(), epsilon, 1, width,
                 alone.data(), nullptr, isa);
  CHECK(std::memcmp(alone.data(), &y[last], width * sizeof(float)) == 0);
}

}  // namespace

int main() {
  for (const Isa isa : available_isas()) {
    for (const int width : {1, 3, 16, 63, 64, 65, 100, 768, 1000, 1024}) {
      test_layer_norm(isa, 5, width, 1.0f, 0.0f, true);
      test_layer_norm(isa, 3, width, 0.1f, 100.0f, false);
      test_layer_norm(isa, 4, width, 1000.0f, -3.0f, true);
    }
    std::printf("layer norm, %s: %s\n", name(isa), failure_count() == 0 ? "hold" : "FAIL");
  }
  return failures();
}
