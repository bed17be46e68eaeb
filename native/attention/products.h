// The arithmetic of the three products of scores, in FP32 and in 8 bits; see attention/rows.h.
#pragma once

#include "attention/kernel.h"
#include "cpu/sixteen.h"

namespace wordtell {
namespace {

// put(row, the sixteen sums of a row of the product): as many rows at a time as the registers hold.
template <typename Put>
inline void float_product(const float* rows, const float* tile, int depth, const Put& put) {
#if defined(__AVX512F__)
  constexpr int together = 16;
#elif defined(__AVX__) || defined(__aarch64__)
  constexpr int together = 4;
#else
  constexpr int together = 2;
#endif
  for (int first = 0; first < kTile; first += together) {
    V16 total[together] = {};
    for (int d = 0; d < depth; ++d) {
      const V16 column = load(tile + d * kTile);
      for (int i = 0; i < together; ++i) {
        total[i] = multiply_add(fill(rows[(first + i) * depth + d]), column, total[i]);
      }
    }
    for (int i = 0; i < together; ++i) put(first + i, total[i]);
  }
}

struct FloatProducts {
  using Row = float;
  using Packed = float;
  using Sum = float;

  static int padded(int head_size) { return head_size; }

  template <typename Value>
  static void pack_rows(const Value* const* rows, int count, int head_size, float* to, float*) {
    for (int i = 0; i < kTile; ++i, to += head_size) {
      for (int d = 0; d < head_size; ++d) to[d] = i < count ? number(rows[i][d]) : 0.0f;
    }
  }

  template <typename Value>
  static void pack_tile(const Value* const* rows, int count, int head_size, float* to, float* scales, int32_t* none) {
    for (int i = 0; i < kTile; ++i) {
      for (int d = 0; d < head_size; ++d) to[d * kTile + i] = i < count ? number(rows[i][d]) : 0.0f;
      scales[i] = 1.0f;
      none[i] = 0;
    }
  }

  static void product(const float* rows, const float* tile, int depth, float* sums) {
    float_product(rows, tile, depth, [sums](int row, const V16& total) { store(sums + row * kTile, total); });
  }

  static V16 value(const float* sums, V16, I16, float) { return load(sums); }
};

// Eight bits, symmetric, a scale for every row: x is about scale * q, q from -127 to 127.
//
// Dot is one instruction set's product of integers. It has Row, Packed; `step`, to which rows are padded;
// `group`, how many of a row's numbers it takes at a time; `offset`, which it needs added to a row's numbers, so that
// offset * (sum of a column) has to be taken from every sum; and product().
template <typename Dot>
struct ByteProducts {
  using Row = typename Dot::Row;
  using Packed = typename Dot::Packed;
  using Sum = int32_t;

  static int padded(int head_size) { return (head_size + Dot::step - 1) / Dot::step * Dot::step; }

  template <typename Value>
  static void pack_rows(const Value* const* rows, int count, int head_size, Row* to, float* scales) {
    const int length = padded(head_size);
    for (int i = 0; i < kTile; ++i, to += length) {
      alignas(64) int8_t narrow[kLongest];
      quantise(i < count ? rows[i] : nullptr, head_size, narrow, scales + i);
      for (int d = 0; d < length; ++d) to[d] = static_cast<Row>(narrow[d] + Dot::offset);
    }
  }

  template <typename Value>
  static void pack_tile(const Value* const* rows, int count, int head_size, Packed* to, float* scales,
                        int32_t* corrections) {
    constexpr int group = Dot::group;
    const int length = padded(head_size);
    for (int i = 0; i < kTile; ++i) {
      alignas(64) int8_t narrow[kLongest];
      corrections[i] = -Dot::offset * quantise(i < count ? rows[i] : nullptr, head_size, narrow, scales + i);
      for (int d = 0; d < length; d += group) {
        Packed some[group];
        for (int e = 0; e < group; ++e) some[e] = narrow[d + e];
        __builtin_memcpy(to + (d * kTile + i * group), some, sizeof some);
      }
    }
  }

  static void product(const Row* rows, const Packed* tile, int depth, int32_t* sums) {
    Dot::product(rows, tile, depth, sums);
  }

  static V16 value(const int32_t* sums, V16 scales, I16 corrections, float row_scale) {
    return to_floats(load(sums) + corrections) * (scales * row_scale);
  }

 private:
  static constexpr int kLongest = 256 + 64;  // the largest head, and the longest step

  // Writes the padded row and its scale, zeros for no row; returns the sum of the numbers.
  template <typename Value>
  static int32_t quantise(const Value* row, int head_size, int8_t* to, float* scale) {
    constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer, ties to even
    const int length = padded(head_size);
    V16 most{}, odd{};
    for (int d = 0; row != nullptr && d < head_size; d += 16) {
      const V16 part = d + 16 <= head_size ? load(row + d) : load_part(row + d, head_size - d);
      most = larger(most, larger(part, -part));
      odd += poison(part);
    }
    const float peak = largest(most);
    *scale = peak / 127.0f + sum(odd);  // NaN, and so all that is made with it, where a number is none
    if (*scale != *scale) row = nullptr;  // zeros: NaN has no integer, and what it would become overflows the sum
    const float inverse = peak > 0.0f ? 127.0f / peak : 0.0f;
    I16 total{};
    for (int d = 0; d < length; d += 16) {
      V16 part{};
      if (row != nullptr && d < head_size) {
        part = d + 16 <= head_size ? load(row + d) : load_part(row + d, head_size - d);
      }
      const I16 numbers = to_integers(part * inverse + magic - magic);
      total += numbers;
      store_bytes(to + d, numbers);
    }
    int32_t all = 0;
    for (int i = 0; i < 16; ++i) all += total[i];
    return all;
  }
};

// The integers as floats, for processors of every kind: the sums stay below 2^24 (256 * 127 * 127), so they are exact,
// and multiplying floats is what every processor does well.
struct PlainDot {
  using Row = float;
  using Packed = float;
  static constexpr int step = 1, group = 1, offset = 0;

  static void product(const float* rows, const float* tile, int depth, int32_t* sums) {
    float_product(rows, tile, depth,
                  [sums](int row, const V16& total) { store(sums + row * kTile, to_integers(total)); });
  }
};

}  // namespace
}  // namespace wordtell
