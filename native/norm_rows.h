// LayerNorm over the vectors of lanes.h; compiled once for each instruction set.
#pragma once

#include "linear_rows.h"
#include "norm_kernels.h"

namespace wordtell {
namespace {

inline Floats load_up_to(const float* from, int count) {
  return count >= lanes ? load(from) : load_part(from, count);
}

inline void store_up_to(float* to, Floats value, int count) {
  if (count >= lanes) {
    store(to, value);
  } else {
    store_part(to, value, count);
  }
}

// Three passes over a row that stays in the first-level cache: the sum and its mean; the variance about that mean
// (never as a difference of squares, which would lose all digits to a large mean); the scaled values and their range.
// `unroll` sums apart in the first two, so that an addition need not wait for the last.
inline void add_layer_norm_row(const float* x, const float* residual, const float* gain, const float* bias,
                               float epsilon, int width, float* y, uint8_t* quantized, ptrdiff_t quantized_stride) {
  const auto add = [=](int i, int count) {
    Floats value = load_up_to(x + i, count);
    if (residual != nullptr) value += load_up_to(residual + i, count);
    store_up_to(y + i, value, count);
    return value;
  };
  Floats sums[unroll] = {}, squares[unroll] = {};
  int i = 0;
  for (; i + unroll * lanes <= width; i += unroll * lanes) {
#pragma GCC unroll 4
    for (int u = 0; u < unroll; ++u) sums[u] += add(i + u * lanes, lanes);
  }
  for (; i < width; i += lanes) sums[0] += add(i, width - i);
  const float mean = sum((sums[0] + sums[1]) + (sums[2] + sums[3])) / width;

  for (i = 0; i + unroll * lanes <= width; i += unroll * lanes) {
#pragma GCC unroll 4
    for (int u = 0; u < unroll; ++u) {
      const Floats difference = load(y + i + u * lanes) - mean;
      squares[u] = multiply_add(difference, difference, squares[u]);
    }
  }
  float rest = 0;
  for (; i < width; ++i) rest += (y[i] - mean) * (y[i] - mean);
  const float variance = (sum((squares[0] + squares[1]) + (squares[2] + squares[3])) + rest) / width;

  const float inverse = 1.0f / __builtin_sqrtf(variance + epsilon);
  Range range;
  for (i = 0; i < width; i += lanes) {
    const int count = width - i;
    const Floats scaled = (load_up_to(y + i, count) - mean) * inverse;
    const Floats value = multiply_add(scaled, load_up_to(gain + i, count), load_up_to(bias + i, count));
    store_up_to(y + i, value, count);
    range.take(value);
  }
  if (quantized != nullptr) write_quantized(y, range, width, quantized, quantized_stride);
}

void add_layer_norm_rows(const float* x, const float* residual, const float* gain, const float* bias, float epsilon,
                         int rows, int width, float* y, uint8_t* quantized, ptrdiff_t quantized_stride) {
  for (int r = 0; r < rows; ++r) {
    const ptrdiff_t at = static_cast<ptrdiff_t>(r) * width;
    add_layer_norm_row(x + at, residual == nullptr ? nullptr : residual + at, gain, bias, epsilon, width, y + at,
                       quantized == nullptr ? nullptr : quantized + r * quantized_stride, quantized_stride);
  }
}

}  // namespace
}  // namespace wordtell
