// LayerNorm with the vectors of cpu/lanes.h; compiled once for each instruction set.
#pragma once

#include "linear/rows.h"
#include "norm/kernel.h"

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

// Three passes over a row, which stays in the first-level cache: the sum and its mean; the variance about that mean (a
// difference of squares would lose all digits if the mean is large); the scaled values and their range. The first two
// passes have `unroll` separate sums, so that an addition need not wait for the one before.
inline void add_layer_norm_row(const LayerNorm& norm, int row, ptrdiff_t quantized_stride) {
  const int width = norm.width;
  const ptrdiff_t at = static_cast<ptrdiff_t>(row) * width;
  const float* x = norm.x + at;
  const float* residual = norm.residual == nullptr ? nullptr : norm.residual + at;
  float* y = norm.y + at;
  float* v = norm.sum == nullptr ? y : norm.sum + at;
  const auto add = [=](int i, int count) {
    Floats value = load_up_to(x + i, count);
    if (residual != nullptr) value += load_up_to(residual + i, count);
    store_up_to(v + i, value, count);
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
      const Floats difference = load(v + i + u * lanes) - mean;
      squares[u] = multiply_add(difference, difference, squares[u]);
    }
  }
  float rest = 0;
  for (; i < width; ++i) rest += (v[i] - mean) * (v[i] - mean);
  const float variance = (sum((squares[0] + squares[1]) + (squares[2] + squares[3])) + rest) / width;

  const float inverse = 1.0f / __builtin_sqrtf(variance + norm.epsilon);
  Range range;
  for (i = 0; i < width; i += lanes) {
    const int count = width - i;
    const Floats scaled = (load_up_to(v + i, count) - mean) * inverse;
    const Floats shift = norm.bias == nullptr ? Floats{} : load_up_to(norm.bias + i, count);
    const Floats value = multiply_add(scaled, load_up_to(norm.gain + i, count), shift);
    store_up_to(y + i, value, count);
    range.take(norm.smooth == nullptr ? value : value * load_up_to(norm.smooth + i, count));
  }
  if (norm.quantized != nullptr) {
    write_quantized(y, norm.smooth, range, width, norm.quantized + row * quantized_stride, quantized_stride);
  }
}

inline void add_layer_norm_rows(const LayerNorm& norm, ptrdiff_t quantized_stride) {
  for (int row = 0; row < norm.rows; ++row) add_layer_norm_row(norm, row, quantized_stride);
}

}  // namespace
}  // namespace wordtell
