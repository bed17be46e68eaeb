// The row-wise half of a quantised linear: FP32 rows to u8 before the products, int32 sums to FP32 behind them.
#pragma once

#include "activations.h"
#include "linear_kernels.h"

namespace wordtell {
namespace {

constexpr int unroll = 4;

// The least and the greatest of some values and 0.
struct Range {
  Floats least = {}, most = {};
  void take(Floats values) {
    least = smaller(least, values);
    most = larger(most, values);
  }
};

// Writes one quantised row of known range.
template <typename Value>
inline void write_quantized(const Value* x, const Range& range, int depth, uint8_t* row, ptrdiff_t row_stride) {
  const float least = smallest(range.least), most = largest(range.most);
  const ptrdiff_t padded = row_stride - depth_tile;
  float scale = (most / 2 - least / 2) / 127.5f;  // halves: the difference of two huge values could be infinite
  // Below this the reciprocal would overflow; such a row is zero as far as FP32 can tell.
  if (scale < 1e-37f) scale = 1.0f;
  const float inverse = 1.0f / scale;
  const int32_t zero_point = round_to_ints(fill(-least * inverse))[0];
  constexpr int step = 4 * lanes;
  int i = 0;
  for (; i + step <= depth; i += step) {
    Ints values[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) values[v] = round_to_ints(load(x + i + v * lanes) * inverse) + zero_point;
    store_bytes(row + i, values);
  }
  if (i < depth) {
    Value rest[step] = {};
    __builtin_memcpy(rest, x + i, (depth - i) * sizeof(Value));
    Ints values[4];
    for (int v = 0; v < 4; ++v) values[v] = round_to_ints(load(rest + v * lanes) * inverse) + zero_point;
    uint8_t bytes[step];
    store_bytes(bytes, values);
    __builtin_memcpy(row + i, bytes, depth - i);
  }
  __builtin_memset(row + depth, 0, row_stride - depth);
  const RowTail tail{scale, zero_point};
  __builtin_memcpy(row + padded, &tail, sizeof tail);
}

template <typename Value>
inline void quantize_row(const Value* x, int depth, uint8_t* row, ptrdiff_t row_stride) {
  Range ranges[unroll];  // apart, so that one comparison need not wait for the last
  int i = 0;
  for (; i + unroll * lanes <= depth; i += unroll * lanes) {
#pragma GCC unroll 4
    for (int u = 0; u < unroll; ++u) ranges[u].take(load(x + i + u * lanes));
  }
  for (; i + lanes <= depth; i += lanes) ranges[0].take(load(x + i));
  if (i < depth) ranges[0].take(load_part(x + i, depth - i));
  for (int u = 1; u < unroll; ++u) {
    ranges[0].take(ranges[u].least);
    ranges[0].take(ranges[u].most);
  }
  write_quantized(x, ranges[0], depth, row, row_stride);
}

template <typename Value>
void quantize_all(const Value* x, ptrdiff_t x_stride, int count, int depth, uint8_t* rows, ptrdiff_t row_stride) {
  for (int r = 0; r < count; ++r) quantize_row(x + r * x_stride, depth, rows + r * row_stride, row_stride);
}

inline RowTail tail_of(const uint8_t* row, int padded_depth) {
  RowTail tail;
  __builtin_memcpy(&tail, row + padded_depth, sizeof tail);
  return tail;
}

// What the epilogue knows of `lanes` columns.
struct Columns {
  Ints sums;
  Floats scale, bias;
  int present;  // how many of them the weight has; the others are padding
};

inline Columns columns_from(const PackedWeight& weight, int column) {
  return {load(weight.column_sums + column), load(weight.scale + column), load(weight.bias + column),
          weight.columns - column};
}

// Outputs of one row from their integer sums, stored where there are columns. The column's scale comes first: a sum
// times a huge row scale could be infinite where the product of all three is not.
template <bool with_gelu, typename Value>
inline void store_outputs(Value* y, Ints sums, const Columns& columns, RowTail row) {
  const Ints centred = sums - columns.sums * row.zero_point;
  Floats value = multiply_add(to_floats(centred) * columns.scale, fill(row.scale), columns.bias);
  if (with_gelu) value = gelu(value);
  if (columns.present >= lanes) {
    store(y, value);
  } else if (columns.present > 0) {
    store_part(y, value, columns.present);
  }
}

// Rows to take at a time, so that they stay in the second-level cache while all panels of the weight pass by them:
// even shares, and a multiple of what any kernel takes at once without AMX (which divides its rows itself).
inline int rows_in_cache(const PackedWeight& weight, int count) {
  constexpr int most_bytes = 768 << 10, most_rows = 256, multiple = 12;
  const int fitting = static_cast<int>(most_bytes / weight.row_stride);
  const int most = fitting < multiple ? multiple : fitting < most_rows ? fitting : most_rows;
  const int shares = (count + most - 1) / most;
  const int even = shares == 0 ? 1 : (count + shares - 1) / shares;
  return (even + multiple - 1) / multiple * multiple;
}

}  // namespace
}  // namespace wordtell
