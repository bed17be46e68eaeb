// LayerNorm of a sum, and the quantised rows that the next linear layer wants, in one pass.
#pragma once

#include <cstdint>

#include "cpu/instruction_sets.h"

namespace wordtell {

// y = (v - mean) / sqrt(variance + epsilon) * gain + bias over each row v = x + residual; the variance is over `width`.
// x, residual, sum and y are [rows, width] without gaps; y may be x or residual. What is null is left out.
struct LayerNorm {
  const float* x;
  const float* residual;
  const float* gain;    // [width]
  const float* bias;    // [width]
  const float* smooth;  // [width], of the quantised rows only
  float epsilon;
  int rows, width;
  float* y;
  float* sum;  // v itself
  // Each row of y * smooth is also quantised to it as quantize_rows would, while it is in the nearest cache:
  // quantized_stride(width) bytes a row (linear/linear.h).
  uint8_t* quantized;

  // The same for some of its rows.
  LayerNorm rows_from(int begin, int count) const;
};

void add_layer_norm(const LayerNorm& norm, Isa isa = best_isa());

}  // namespace wordtell
