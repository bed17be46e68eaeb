// LayerNorm of a sum, and the quantised rows that the next linear layer wants, in one pass.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu_features.h"

namespace wordtell {

// y = (v - mean) / sqrt(variance + epsilon) * gain + bias over each row v = x + residual; the variance is over `width`.
// x, residual (null for none) and y are [rows, width] without gaps; y may be x or residual. gain and bias: [width].
//
// With `quantized` not null, each row of y is also quantised to it as quantize_rows would, while it is in the nearest
// cache: quantized_stride(width) bytes a row (linear.h).
void add_layer_norm(const float* x, const float* residual, const float* gain, const float* bias, float epsilon,
                    int rows, int width, float* y, uint8_t* quantized = nullptr, Isa isa = best_isa());

}  // namespace wordtell
