// What linear.cpp and the kernels of each instruction set say to each other. No inline function here: see lanes.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bfloat16.h"

namespace wordtell {

// Quantised rows and packed weights are padded with zeros to whole tiles of this many values of depth.
constexpr int depth_tile = 64;

// Behind the padded bytes of each quantised row. A cache line is set aside for it, which also keeps rows of 1,024 or
// 4,096 values from falling into the same sets of the caches.
struct RowTail {
  float scale;
  int32_t zero_point;
};

// weight: panels of `panel` columns, each [padded depth / group][panel][group]; the last panel's missing columns have
// weights, scales and biases of zero.
struct PackedWeight {
  const int8_t* weight;
  const int32_t* column_sums;
  const float* scale;
  const float* bias;
  int depth, padded_depth, columns;
  ptrdiff_t row_stride;
  bool gelu;
};

struct LinearKernels {
  int panel, group;
  void (*quantize)(const float* x, ptrdiff_t x_stride, int count, int depth, uint8_t* rows, ptrdiff_t row_stride);
  void (*quantize_halves)(const Bfloat16* x, ptrdiff_t x_stride, int count, int depth, uint8_t* rows,
                          ptrdiff_t row_stride);
  // `rows` and `y` point to the first row of the block; `col_begin` counts from the weight's first column.
  void (*multiply)(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end, float* y,
                   ptrdiff_t y_stride);
  void (*multiply_halves)(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end,
                          Bfloat16* y, ptrdiff_t y_stride);
};

extern const LinearKernels linear_portable;
#if defined(__x86_64__)
extern const LinearKernels linear_avx2;
extern const LinearKernels linear_avx512;
extern const LinearKernels linear_amx;
#endif

}  // namespace wordtell
