// The row-wise half of a quantised linear: FP32 rows to u8 before the products, int32 sums to FP32 behind them.
#pragma once

#include "linear/activations.h"
#include "linear/kernel.h"

namespace wordtell {
namespace {

constexpr int unroll = 4;

// The least and the greatest of some values and 0, and whether all of them are numbers.
struct Range {
  Floats least = {}, most = {}, poison = {};  // poison: 0, or NaN once a value was NaN or infinite
  void take(Floats values) {
    least = smaller(least, values);
    most = larger(most, values);
    poison += values - values;
  }
  void take(const Range& other) {
    least = smaller(least, other.least);
    most = larger(most, other.most);
    poison += other.poison;
  }
};

// A row's values from a place on, multiplied by its columns' factors where it has some.
template <bool smoothed, typename Value>
inline Floats scaled_values(const Value* x, const float* smooth, int i) {
  return smoothed ? load(x + i) * load(smooth + i) : load(x + i);
}

// Bytes of a row of known range, in steps of four vectors; what is left goes through a copy.
template <bool smoothed, typename Value>
inline void write_bytes(const Value* x, const float* smooth, float inverse, int32_t zero_point, int depth,
                        uint8_t* row) {
  constexpr int step = 4 * lanes;
  int i = 0;
  for (; i + step <= depth; i += step) {
    Ints values[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      values[v] = round_to_ints(scaled_values<smoothed>(x, smooth, i + v * lanes) * inverse) + zero_point;
    }
    store_bytes(row + i, values);
  }
  if (i == depth) return;
  Value rest[step] = {};
  float factors[step] = {};
  __builtin_memcpy(rest, x + i, (depth - i) * sizeof(Value));
  if (smoothed) __builtin_memcpy(factors, smooth + i, (depth - i) * sizeof(float));
  Ints values[4];
  for (int v = 0; v < 4; ++v) {
    values[v] = round_to_ints(scaled_values<smoothed>(rest, factors, v * lanes) * inverse) + zero_point;
  }
  uint8_t bytes[step];
  store_bytes(bytes, values);
  __builtin_memcpy(row + i, bytes, depth - i);
}

// Writes one quantised row of known range. A row with a value that is no number gets zeros and a scale of NaN, which
// makes NaN of whatever it is multiplied by.
template <typename Value>
inline void write_quantized(const Value* x, const float* smooth, const Range& range, int depth, uint8_t* row,
                            ptrdiff_t row_stride) {
  const float least = smallest(range.least), most = largest(range.most), poison = sum(range.poison);
  const ptrdiff_t padded = row_stride - depth_tile;
  if (poison != poison) {
    __builtin_memset(row, 0, row_stride);
    const RowTail tail{poison, 0};
    __builtin_memcpy(row + padded, &tail, sizeof tail);
    return;
  }
  float scale = (most / 2 - least / 2) / 127.5f;  // halves: the difference of two huge values could be infinite
  // Below this the reciprocal would overflow; such a row is zero as far as FP32 can tell.
  if (scale < 1e-37f) scale = 1.0f;
  const float inverse = 1.0f / scale;
  const int32_t zero_point = round_to_ints(fill(-least * inverse))[0];
  if (smooth == nullptr) {
    write_bytes<false>(x, smooth, inverse, zero_point, depth, row);
  } else {
    write_bytes<true>(x, smooth, inverse, zero_point, depth, row);
  }
  __builtin_memset(row + depth, 0, row_stride - depth);
  const RowTail tail{scale, zero_point};
  __builtin_memcpy(row + padded, &tail, sizeof tail);
}

template <bool smoothed, typename Value>
inline Range range_of(const Value* x, const float* smooth, int depth) {
  Range ranges[unroll];  // apart, so that one comparison need not wait for the last
  int i = 0;
  for (; i + unroll * lanes <= depth; i += unroll * lanes) {
#pragma GCC unroll 4
    for (int u = 0; u < unroll; ++u) ranges[u].take(scaled_values<smoothed>(x, smooth, i + u * lanes));
  }
  for (; i + lanes <= depth; i += lanes) ranges[0].take(scaled_values<smoothed>(x, smooth, i));
  if (i < depth) {
    const Floats rest = load_part(x + i, depth - i);
    ranges[0].take(smoothed ? rest * load_part(smooth + i, depth - i) : rest);
  }
  for (int u = 1; u < unroll; ++u) ranges[0].take(ranges[u]);
  return ranges[0];
}

template <typename Value>
void quantize_all(const Value* x, ptrdiff_t x_stride, int count, int depth, const float* smooth, uint8_t* rows,
                  ptrdiff_t row_stride) {
  for (int r = 0; r < count; ++r) {
    const Value* row = x + r * x_stride;
    const Range range = smooth == nullptr ? range_of<false>(row, smooth, depth) : range_of<true>(row, smooth, depth);
    write_quantized(row, smooth, range, depth, rows + r * row_stride, row_stride);
  }
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
  Activation activation;
};

// What an epilogue is compiled for: activations other than GELU with erf share a copy.
enum class After { nothing, gelu, other };
template <After after>
struct Fixed {
  static constexpr After value = after;
};

// work(Fixed<...>) of a weight's activation.
template <typename Work>
inline void with_activation(const PackedWeight& weight, const Work& work) {
  switch (weight.activation) {
    case Activation::none: return work(Fixed<After::nothing>());
    case Activation::gelu: return work(Fixed<After::gelu>());
    default: return work(Fixed<After::other>());
  }
}

inline Columns columns_from(const PackedWeight& weight, int column) {
  return {load(weight.column_sums + column), load(weight.scale + column), load(weight.bias + column),
          weight.columns - column, weight.activation};
}

// Outputs of one row from their integer sums, stored where there are columns. The column's scale comes first: a sum
// times a huge row scale could be infinite where the product of all three is not.
template <After after, typename Value>
inline void store_outputs(Value* y, Ints sums, const Columns& columns, RowTail row) {
  const Ints centred = sums - columns.sums * row.zero_point;
  Floats value = multiply_add(to_floats(centred) * columns.scale, fill(row.scale), columns.bias);
  if (after == After::gelu) value = gelu(value);
  if (after == After::other) value = activate(columns.activation, value);
  if (columns.present >= lanes) {
    store(y, value);
  } else if (columns.present > 0) {
    store_part(y, value, columns.present);
  }
}

template <typename Value>
void gate_all(const float* a, const float* b, int count, Value* y) {
  int i = 0;
  for (; i + lanes <= count; i += lanes) store(y + i, load(a + i) * load(b + i));
  if (i < count) store_part(y + i, load_part(a + i, count - i) * load_part(b + i, count - i), count - i);
}

// Rows to take at a time, so that they stay in the second-level cache while all panels of the weight pass by them:
// even shares, and a multiple of what any kernel takes at once. (AMX divides its rows itself.)
inline int rows_in_cache(const PackedWeight& weight, int count) {
  constexpr int most_bytes = 768 << 10, most_rows = 256, multiple = 12;
  const int fitting = static_cast<int>(most_bytes / weight.row_stride);
  const int most = fitting < multiple ? multiple : fitting < most_rows ? fitting : most_rows;
  const int shares = (count + most - 1) / most;
  const int even = shares == 0 ? 1 : (count + shares - 1) / shares;
  return (even + multiple - 1) / multiple * multiple;
}

// The table of one instruction set. Body has panel, group and multiply<After, Value>(...), see LinearKernels.
template <typename Body, typename Value>
void multiply_with(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end, Value* y,
                   ptrdiff_t y_stride) {
  with_activation(weight, [&](auto after) {
    Body::template multiply<decltype(after)::value>(weight, rows, count, col_begin, col_end, y, y_stride);
  });
}

template <typename Body>
constexpr LinearKernels linear_of() {
  return {Body::panel, Body::group, quantize_all<float>, quantize_all<Bfloat16>, multiply_with<Body, float>,
          multiply_with<Body, Bfloat16>, gate_all<float>, gate_all<Bfloat16>};
}

}  // namespace
}  // namespace wordtell
