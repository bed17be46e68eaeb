// The softmax of a row of scores, and the product with v, in FP32; and what products in bfloat16 share with it.
#pragma once

#include "cpu/sixteen.h"

namespace wordtell {
namespace {

// Turns scores into e^(score - highest), beyond `length` up to the next multiple of sixteen as good as zero; returns one
// over their sum. `rounded`: as bfloat16 has them, and the sum is of those.
template <bool rounded>
float softmax(float* scores, float highest, int length) {
  const V16 top = fill(highest);
  V16 total{};
  for (int j = 0; j < length; j += 16) {
    const V16 below = load(scores + j) - top;
    const V16 value = rounded ? round_to_bfloat16(rough_exponential(below)) : exponential(below);
    store(scores + j, value);
    total += value;
  }
  return 1.0f / sum(total);
}

inline int vectors_of(int head_size) { return (head_size + 15) / 16; }

// Sixteen columns of a row of v; zeros beyond the head's end.
template <typename Value>
V16 columns_of(const Value* row, int column, int head_size) {
  return column + 16 <= head_size ? load(row + column) : load_part(row + column, head_size - column);
}

// The same of one row of many, rounded, as the upper halves of integers; zeros beyond the text's end, too.
template <typename Value>
I16 halves(const Value* v, ptrdiff_t stride, int row, int length, int column, int head_size) {
  if (row >= length) return I16{};
  const V16 value = columns_of(v + row * stride, column, head_size);
  return bits(sizeof(Value) == sizeof(float) ? round_to_bfloat16(value) : value);
}

// Writes those of sixteen columns that are within the head.
inline void put_columns(float* row, int column, const V16& value, int head_size) {
  if (column + 16 <= head_size) {
    store(row + column, value);
  } else {
    for (int i = 0; column + i < head_size; ++i) row[column + i] = value[i];
  }
}

template <bool rounded>
class MixFloats {
 public:
  static size_t bytes(int head_size, int length) {
    return static_cast<size_t>(length) * vectors_of(head_size) * 16 * sizeof(float);
  }
  static float softmax(float* scores, float highest, int length) {
    return wordtell::softmax<rounded>(scores, highest, length);
  }

  template <typename Value>
  MixFloats(const Value* v, ptrdiff_t stride, int length, int head_size, char* memory)
      : values_(reinterpret_cast<float*>(memory)), head_size_(head_size) {
    float* to = values_;
    for (int j = 0; j < length; ++j) {
      for (int c = 0; c < head_size; c += 16, to += 16) {
        const V16 value = columns_of(v + j * stride, c, head_size);
        store(to, rounded ? round_to_bfloat16(value) : value);
      }
    }
  }

  // shares: [count][width], of the keys [first_key, first_key + keys); inverse: one factor a row.
  void mix(const float* shares, int width, int count, int first_key, int keys, const float* inverse, float* out,
           ptrdiff_t out_stride) const {
    const Keys range{first_key, keys};
    for (int row = 0; row < count; row += kRows) {
      const int rows = count - row < kRows ? count - row : kRows;
      for (int c = 0; c < vectors_of(head_size_);) {
        const bool wide = vectors_of(head_size_) - c >= kVectors;
        V16 sums[kRows][kVectors];
        if (rows == kRows && wide) {
          multiply<kRows, kVectors>(shares + row * width, width, range, c, sums);
        } else if (rows == kRows) {
          multiply<kRows, 1>(shares + row * width, width, range, c, sums);
        } else {
          for (int r = 0; r < rows; ++r) {
            if (wide) {
              multiply<1, kVectors>(shares + (row + r) * width, width, range, c, sums + r);
            } else {
              multiply<1, 1>(shares + (row + r) * width, width, range, c, sums + r);
            }
          }
        }
        for (int r = 0; r < rows; ++r) {
          for (int n = 0; n < (wide ? kVectors : 1); ++n) {
            put_columns(out + (row + r) * out_stride, (c + n) * 16, sums[r][n] * inverse[row + r], head_size_);
          }
        }
        c += wide ? kVectors : 1;
      }
    }
  }

 private:
#if defined(__AVX512F__)
  static constexpr int kRows = 4, kVectors = 4;
#else
  static constexpr int kRows = 2, kVectors = 2;  // sixteen registers hold half of a V16 each
#endif

  struct Keys {
    int first, count;
  };

  // In a function of its own, see attention/products.h.
  template <int R, int C>
  __attribute__((noinline)) void multiply(const float* shares, int width, Keys keys, int first, V16 (*sums)[kVectors]) const {
    V16 total[R][C] = {};
    const float* values = values_ + (static_cast<ptrdiff_t>(keys.first) * vectors_of(head_size_) + first) * 16;
    for (int j = 0; j < keys.count; ++j, values += vectors_of(head_size_) * 16) {
      for (int r = 0; r < R; ++r) {
        const V16 share = fill(shares[r * width + j]);
        for (int c = 0; c < C; ++c) total[r][c] = multiply_add(share, load(values + c * 16), total[r][c]);
      }
    }
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) sums[r][c] = total[r][c];
    }
  }

  float* values_;
  int head_size_;
};

}  // namespace
}  // namespace wordtell
