// The quantised linear with AVX-512 VNNI: one instruction multiplies four u8 by four s8 in each of 16 columns.
#include "linear_rows.h"

namespace wordtell {

namespace {

// 6 rows x 4 vectors of columns: 24 sums, 4 weights and a row's broadcast fill 29 of the 32 registers, and 24 products
// for 10 loads leave the products the bottleneck.
constexpr int vectors = 4;
constexpr int panel = vectors * lanes;
constexpr int group = 4;
constexpr int most_rows = 6;

template <int block_rows, bool with_gelu, typename Value>
void multiply_block(const PackedWeight& weight, const uint8_t* rows, const int8_t* panel_weight, int column, Value* y,
                    ptrdiff_t y_stride) {
  __m512i sums[block_rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < block_rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) sums[r][v] = _mm512_setzero_si512();
  }
  for (int k = 0; k < weight.padded_depth; k += group) {
    __m512i w[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) w[v] = _mm512_load_si512(panel_weight + k * panel + v * 64);
#pragma GCC unroll 8
    for (int r = 0; r < block_rows; ++r) {
      int32_t four;
      __builtin_memcpy(&four, rows + r * weight.row_stride + k, sizeof four);
      const __m512i x = _mm512_set1_epi32(four);
      // In assembly: GCC 12 copies every sum at each step when the intrinsic is used, which halves the speed.
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) asm("vpdpbusd %2, %1, %0" : "+v"(sums[r][v]) : "v"(x), "v"(w[v]));
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v) {
    const Columns columns = columns_from(weight, column + v * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < block_rows; ++r) {
      const RowTail row = tail_of(rows + r * weight.row_stride, weight.padded_depth);
      store_outputs<with_gelu>(y + r * y_stride + column + v * lanes, reinterpret_cast<Ints>(sums[r][v]), columns, row);
    }
  }
}

template <bool with_gelu, typename Value>
void multiply_rest(int count, const PackedWeight& weight, const uint8_t* rows, const int8_t* panel_weight, int column,
                   Value* y, ptrdiff_t y_stride) {
  switch (count) {
    case 5: return multiply_block<5, with_gelu>(weight, rows, panel_weight, column, y, y_stride);
    case 4: return multiply_block<4, with_gelu>(weight, rows, panel_weight, column, y, y_stride);
    case 3: return multiply_block<3, with_gelu>(weight, rows, panel_weight, column, y, y_stride);
    case 2: return multiply_block<2, with_gelu>(weight, rows, panel_weight, column, y, y_stride);
    case 1: return multiply_block<1, with_gelu>(weight, rows, panel_weight, column, y, y_stride);
  }
}

template <bool with_gelu, typename Value>
void multiply_as(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end, Value* y,
                 ptrdiff_t y_stride) {
  const int block = rows_in_cache(weight, count);
  for (int begin = 0; begin < count; begin += block) {
    const int end = count < begin + block ? count : begin + block;
    for (int column = col_begin; column < col_end; column += panel) {
      const int8_t* panel_weight = weight.weight + static_cast<ptrdiff_t>(column) * weight.padded_depth;
      int r = begin;
      for (; r + most_rows <= end; r += most_rows) {
        multiply_block<most_rows, with_gelu>(weight, rows + r * weight.row_stride, panel_weight, column,
                                             y + r * y_stride, y_stride);
      }
      multiply_rest<with_gelu>(end - r, weight, rows + r * weight.row_stride, panel_weight, column, y + r * y_stride,
                               y_stride);
    }
  }
}

template <typename Value>
void multiply(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end, Value* y,
              ptrdiff_t y_stride) {
  const auto as = weight.gelu ? multiply_as<true, Value> : multiply_as<false, Value>;
  as(weight, rows, count, col_begin, col_end, y, y_stride);
}

}  // namespace

extern const LinearKernels linear_avx512 = {panel, group, quantize_all<float>, quantize_all<Bfloat16>, multiply<float>,
                                             multiply<Bfloat16>};

}  // namespace wordtell
