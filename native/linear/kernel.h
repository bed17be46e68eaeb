// What linear.cpp and the kernels of each instruction set say to each other. No inline function here: see cpu/lanes.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/bfloat16.h"

namespace wordtell {

// Quantised rows and packed weights are padded with zeros to whole tiles of this many values of depth.
constexpr int depth_tile = 64;

// Behind the padded bytes of each quantised row. A cache line is set aside for it, which also keeps rows of 1,024 or
// 4,096 values from falling into the same sets of the caches.
struct RowTail {
  float scale;
  int32_t zero_point;
};

// What follows a product: x Phi(x) with erf within 1e-6, the same by tanh, max(x, 0), x / (1 + e^-x).
enum class Activation { none, gelu, gelu_tanh, relu, silu };

// What linear/excess.cpp takes out of a weight, for vectors of eight columns: of vector v, entries begins[v] to
// begins[v + 1] have a depth, and the weights of four values from there on in each column.
struct Excess {
  const int32_t* begins;
  const int32_t* depths;
  const int8_t* weights;  // [entries][8][4]
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
  Activation activation;
  Excess excess;  // null unless the kernels ask for it
};

struct LinearKernels {
  int panel, group;
  // smooth: [depth], what each column of x is multiplied by first, or null.
  void (*quantize)(const float* x, ptrdiff_t x_stride, int count, int depth, const float* smooth, uint8_t* rows,
                   ptrdiff_t row_stride);
  void (*quantize_halves)(const Bfloat16* x, ptrdiff_t x_stride, int count, int depth, const float* smooth,
                          uint8_t* rows, ptrdiff_t row_stride);
  // `rows` and `y` point to the first row of the block; `col_begin` counts from the weight's first column.
  void (*multiply)(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end, float* y,
                   ptrdiff_t y_stride);
  void (*multiply_halves)(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end,
                          Bfloat16* y, ptrdiff_t y_stride);
  // y = a * b, `count` of each.
  void (*gate)(const float* a, const float* b, int count, float* y);
  void (*gate_halves)(const float* a, const float* b, int count, Bfloat16* y);
  bool takes_excess = false;  // with a group of four
};

extern const LinearKernels linear_portable;
#if defined(__x86_64__)
extern const LinearKernels linear_avx2;
extern const LinearKernels linear_avxvnni;
extern const LinearKernels linear_avx512;
extern const LinearKernels linear_avx512bf16;
extern const LinearKernels linear_amx;
#elif defined(__aarch64__)
extern const LinearKernels linear_dotprod;
extern const LinearKernels linear_i8mm;
#endif

}  // namespace wordtell
