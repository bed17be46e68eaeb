// LayerNorm of a sum, and its quantised rows for the next linear layer.
#pragma once

#include <cstdint>

#include "cpu/instruction_sets.h"

namespace wordtell {

// y = (v - mean) / sqrt(variance + epsilon) * gain + bias for each row v = x + residual, with the variance over
// `width` values. x, residual, sum and y are contiguous [rows, width]; y may be x or residual. residual, bias, smooth,
// sum and quantized may be null.
struct LayerNorm {
  const float* x;
  const float* residual;
  const float* gain;    // [width]
  const float* bias;    // [width]
  const float* smooth;  // [width], for the quantised rows only
  float epsilon;
  int rows, width;
  float* y;
  float* sum;  // v
  // The rows of y * smooth as quantize_rows writes them, quantized_stride(width) bytes per row (linear/linear.h).
  uint8_t* quantized;

  // The same for `count` of its rows.
  LayerNorm rows_from(int begin, int count) const;
};

void add_layer_norm(const LayerNorm& norm, Isa isa = best_isa());

}  // namespace wordtell
