// The quantised linear for any processor, left to the compiler's vectoriser.
#include "linear/rows.h"

namespace wordtell {

namespace {

constexpr int panel = 16;
constexpr int block_rows = 4;

// Sums for `count` <= block_rows rows and one panel. Products of a u8 and a s8 fit 16 bits signed x signed multiplies.
void sum_panel(const uint8_t* rows, ptrdiff_t row_stride, int count, const int8_t* weight, int depth,
               int32_t sums[block_rows][panel]) {
  for (int r = 0; r < count; ++r) {
    const uint8_t* row = rows + r * row_stride;
    int32_t sum[panel] = {};
    for (int k = 0; k < depth; ++k) {
      const int16_t value = row[k];
      for (int c = 0; c < panel; ++c) sum[c] += value * int16_t{weight[k * panel + c]};
    }
    __builtin_memcpy(sums[r], sum, sizeof sum);
  }
}

template <After after, typename Value>
void multiply_as(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end, Value* y,
                 ptrdiff_t y_stride) {
  int32_t sums[block_rows][panel];
  for (int column = col_begin; column < col_end; column += panel) {
    const int8_t* panel_weight = weight.weight + static_cast<ptrdiff_t>(column) * weight.padded_depth;
    for (int begin = 0; begin < count; begin += block_rows) {
      const int some = count - begin < block_rows ? count - begin : block_rows;
      const uint8_t* block = rows + begin * weight.row_stride;
      sum_panel(block, weight.row_stride, some, panel_weight, weight.depth, sums);
      for (int r = 0; r < some; ++r) {
        const RowTail row = tail_of(block + r * weight.row_stride, weight.padded_depth);
        for (int c = 0; c < panel; c += lanes) {
          store_outputs<after>(y + (begin + r) * y_stride + column + c, load(sums[r] + c),
                                   columns_from(weight, column + c), row);
        }
      }
    }
  }
}

struct Body {
  static constexpr int panel = wordtell::panel, group = 1;

  template <After after, typename Value>
  static void multiply(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end, Value* y,
                       ptrdiff_t y_stride) {
    multiply_as<after>(weight, rows, count, col_begin, col_end, y, y_stride);
  }
};

}  // namespace

extern const LinearKernels linear_portable = linear_of<Body>();

}  // namespace wordtell
