// The quantised linear by blocks of rows and a panel of columns, whose sums stay in registers.
//
// Dot is one instruction set's product. It has
//   vectors, most_rows, group           columns of a panel in vectors, rows of a block, bytes of depth at a time
//   sums<rows>(weight, first row, panel's weights, ahead, Ints (&)[rows][vectors])      exact sums over the whole depth
// ahead: one cache line of every step's weights further on is brought into the second cache meanwhile.
#pragma once

#include "linear/rows.h"

namespace wordtell {
namespace {

template <typename Dot>
struct Blocks {
  static constexpr int panel = Dot::vectors * lanes, group = Dot::group;

  template <After after, typename Value>
  static void multiply(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end,
                       Value* y, ptrdiff_t y_stride) {
    const int in_cache = rows_in_cache(weight, count);
    for (int begin = 0; begin < count; begin += in_cache) {
      const int end = count < begin + in_cache ? count : begin + in_cache;
      for (int column = col_begin; column < col_end; column += panel) {
        Ahead ahead(weight, column);
        int r = begin;
        for (; r + Dot::most_rows <= end; r += Dot::most_rows) {
          block<Dot::most_rows, after>(weight, rows + r * weight.row_stride, column, ahead.next(), y + r * y_stride,
                                       y_stride);
        }
        rest<Dot::most_rows - 1, after>(end - r, weight, rows + r * weight.row_stride, column, ahead.next(),
                                        y + r * y_stride, y_stride);
      }
    }
  }

 private:
  static const int8_t* panel_at(const PackedWeight& weight, int column) {
    return weight.weight + static_cast<ptrdiff_t>(column) * weight.padded_depth;
  }

  // What the blocks of rows of one panel bring of the next one: a share each, since memory gives a core no more than a
  // panel in the time of a few blocks. Then, or where there is no next panel, what they multiply by themselves.
  class Ahead {
   public:
    Ahead(const PackedWeight& weight, int column)
        : own_(panel_at(weight, column)),
          next_(own_),
          share_(weight.padded_depth / group * 64),
          left_(column + panel < weight.columns ? panel * group / 64 : 0) {
      if (left_ > 0) next_ += static_cast<ptrdiff_t>(panel) * weight.padded_depth;
    }
    const int8_t* next() {
      if (left_ == 0) return own_;
      --left_;
      const int8_t* share = next_;
      next_ += share_;
      return share;
    }

   private:
    const int8_t *own_, *next_;
    ptrdiff_t share_;
    int left_;
  };

  template <int height, After after, typename Value>
  static void block(const PackedWeight& weight, const uint8_t* rows, int column, const int8_t* ahead, Value* y,
                    ptrdiff_t y_stride) {
    Ints sums[height][Dot::vectors];
    Dot::template sums<height>(weight, rows, panel_at(weight, column), ahead, sums);
#pragma GCC unroll 8
    for (int v = 0; v < Dot::vectors; ++v) {
      const Columns columns = columns_from(weight, column + v * lanes);
#pragma GCC unroll 8
      for (int r = 0; r < height; ++r) {
        const RowTail row = tail_of(rows + r * weight.row_stride, weight.padded_depth);
        store_outputs<after>(y + r * y_stride + column + v * lanes, sums[r][v], columns, row);
      }
    }
  }

  // A block of fewer rows than most: `count` of them, at most `height`.
  template <int height, After after, typename Value>
  static void rest(int count, const PackedWeight& weight, const uint8_t* rows, int column, const int8_t* ahead,
                   Value* y, ptrdiff_t y_stride) {
    if constexpr (height > 0) {
      if (count == height) return block<height, after>(weight, rows, column, ahead, y, y_stride);
      rest<height - 1, after>(count, weight, rows, column, ahead, y, y_stride);
    }
  }
};

}  // namespace
}  // namespace wordtell
