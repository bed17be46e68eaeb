// The quantised linear with AVX2. maddubs would saturate its 16-bit pair sums with full-range u8 x s8, so bytes are
// widened to 16 bits and madd sums pairs exactly in 32: even and odd bytes of each group of four apart.
#include "linear_rows.h"

namespace wordtell {

namespace {

// 4 rows x 2 vectors: 8 sums, 4 widened weights and 2 widened values fill 14 of the 16 registers.
constexpr int vectors = 2;
constexpr int panel = vectors * lanes;
constexpr int group = 4;
constexpr int most_rows = 4;

template <int block_rows, bool with_gelu, typename Value>
void multiply_block(const PackedWeight& weight, const uint8_t* rows, const int8_t* panel_weight, int column, Value* y,
                    ptrdiff_t y_stride) {
  const __m256i low_bytes = _mm256_set1_epi16(0x00ff);
  __m256i sums[block_rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < block_rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) sums[r][v] = _mm256_setzero_si256();
  }
  for (int k = 0; k < weight.padded_depth; k += group) {
    __m256i even[vectors], odd[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      const __m256i w = _mm256_load_si256(reinterpret_cast<const __m256i*>(panel_weight + k * panel + v * 32));
      even[v] = _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8);
      odd[v] = _mm256_srai_epi16(w, 8);
    }
#pragma GCC unroll 8
    for (int r = 0; r < block_rows; ++r) {
      int32_t four;
      __builtin_memcpy(&four, rows + r * weight.row_stride + k, sizeof four);
      const __m256i x = _mm256_set1_epi32(four);
      const __m256i x_even = _mm256_and_si256(x, low_bytes), x_odd = _mm256_srli_epi16(x, 8);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        sums[r][v] = _mm256_add_epi32(sums[r][v], _mm256_madd_epi16(x_even, even[v]));
        sums[r][v] = _mm256_add_epi32(sums[r][v], _mm256_madd_epi16(x_odd, odd[v]));
      }
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

extern const LinearKernels linear_avx2 = {panel, group, quantize_all<float>, quantize_all<Bfloat16>, multiply<float>,
                                             multiply<Bfloat16>};

}  // namespace wordtell
