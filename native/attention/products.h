// The arithmetic of the three products of scores, in FP32 and in 8 bits; see attention/rows.h.
#pragma once

#include "attention/kernel.h"
#include "cpu/sixteen.h"
#include "cpu/transpose.h"

namespace wordtell {
namespace {

// product<tiles>(rows, tile, depth, put) multiplies sixteen rows by that many tiles and calls put(row, their sums) for
// each row: as many rows at a time as the registers hold. kTogether: the most tiles that it takes.
#if defined(__AVX512F__)
constexpr int kTogether = 4, kRegisters = 16;
#elif defined(__AVX__) || defined(__aarch64__)
constexpr int kTogether = 1, kRegisters = 4;
#else
constexpr int kTogether = 1, kRegisters = 2;
#endif

// In a function of its own: GCC keeps the sums in registers only where it has nothing else to keep.
template <int together, int tiles>
__attribute__((noinline)) void float_sums(const float* rows, const float* const (&tile)[tiles], int depth,
                                          V16 (&sums)[together][tiles]) {
  V16 total[together][tiles] = {};
  for (int d = 0; d < depth; ++d) {
    V16 columns[tiles];
#pragma GCC unroll 16
    for (int t = 0; t < tiles; ++t) columns[t] = load(tile[t] + d * kTile);
#pragma GCC unroll 16
    for (int i = 0; i < together; ++i) {
      const V16 value = fill(rows[i * depth + d]);
#pragma GCC unroll 16
      for (int t = 0; t < tiles; ++t) total[i][t] = multiply_add(value, columns[t], total[i][t]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < together; ++i) {
#pragma GCC unroll 16
    for (int t = 0; t < tiles; ++t) sums[i][t] = total[i][t];
  }
}

template <int tiles, typename Put>
inline void float_product(const float* rows, const float* const (&tile)[tiles], int depth, const Put& put) {
  constexpr int together = kRegisters / tiles;
  V16 sums[together][tiles];
  for (int first = 0; first < kTile; first += together) {
    float_sums(rows + first * depth, tile, depth, sums);
    for (int i = 0; i < together; ++i) put(first + i, sums[i]);
  }
}

// tile[d][i] = rows[i][d] of sixteen rows, `width` apart, of elements of four bytes: `width` of them in each.
inline void turn(const void* rows, int width, void* tile) {
  const auto* from = static_cast<const float*>(rows);
  auto* to = static_cast<float*>(tile);
  int d = 0;
  for (; d + 16 <= width; d += 16) {
    V16 block[kTile];
    for (int i = 0; i < kTile; ++i) block[i] = load(from + i * width + d);
    transpose(block);
    for (int i = 0; i < kTile; ++i) store(to + (d + i) * kTile, block[i]);
  }
  for (; d < width; ++d) {
    for (int i = 0; i < kTile; ++i) __builtin_memcpy(to + d * kTile + i, from + i * width + d, sizeof(float));
  }
}

struct FloatProducts {
  using Row = float;
  using Packed = float;
  using Sums = V16;

  static int padded(int head_size) { return head_size; }

  template <typename Value>
  static void pack(const Value* const* rows, int count, int head_size, Packed* to, float*) {
    for (int i = 0; i < kTile; ++i, to += head_size) {
      for (int d = 0; d < head_size; ++d) to[d] = i < count ? number(rows[i][d]) : 0.0f;
    }
  }

  static I16 corrections(const Packed*, int) { return {}; }

  static void tile_of(const Packed* packed, int head_size, Packed* tile) { turn(packed, head_size, tile); }

  static void rows_of(const Packed* packed, int head_size, Row* to) {
    __builtin_memcpy(to, packed, sizeof(float) * kTile * head_size);
  }

  template <int tiles, typename Put>
  static void product(const float* rows, const float* const (&tile)[tiles], int depth, const Put& put) {
    float_product(rows, tile, depth, put);
  }

  static V16 value(const V16& sums, const V16&, const I16&, float) { return sums; }
};

// Eight bits, symmetric, a scale for every row: x is about scale * q, q from -127 to 127.
//
// Dot is one instruction set's product of integers. It has Packed, what a number is kept in, and Row, the same where rows
// are multiplied; tile_of() and rows_of(), which bring sixteen packed rows into the order that it multiplies; `step`, to
// which rows are padded; corrections(tile, padded), which have to be added to the sums with that tile; and product().
template <typename Dot>
struct ByteProducts {
  using Row = typename Dot::Row;
  using Packed = typename Dot::Packed;
  using Sums = I16;

  static int padded(int head_size) { return (head_size + Dot::step - 1) / Dot::step * Dot::step; }

  template <typename Value>
  static void pack(const Value* const* rows, int count, int head_size, Packed* to, float* scales) {
    const int length = padded(head_size), whole = head_size / 16 * 16, rest = head_size - whole;
    I16 most[kTile] = {};
    for (int i = 0; i < count; ++i) {
      for (int d = 0; d < whole; d += 16) most[i] = larger(most[i], magnitude_bits(load(rows[i] + d)));
      if (rest > 0) most[i] = larger(most[i], magnitude_bits(load_part(rows[i] + whole, rest)));
    }
    const I16 peaks = largest_of_each(most);
    float inverse[kTile];
    int32_t kept[kTile];  // all bits, but none of a row with NaN or infinity: these have no integers
    constexpr int32_t infinity = 0x7f800000;
    const V16 peak = from_bits(peaks);
    for (int i = 0; i < kTile; ++i) {
      const bool numbers = peaks[i] < infinity;
      kept[i] = numbers ? -1 : 0;
      scales[i] = numbers ? peak[i] / 127.0f : __builtin_nanf("");  // NaN, and so all that is made with it
      inverse[i] = numbers && peak[i] > 0.0f ? 127.0f / peak[i] : 0.0f;
    }
    for (int i = 0; i < kTile; ++i, to += length) {
      const auto put = [&](int d, const V16& values) {
        store_numbers(to + d, round_to_integers(values * inverse[i]) & kept[i], length - d);
      };
      const int present = i < count ? whole : 0;
      for (int d = 0; d < present; d += 16) put(d, load(rows[i] + d));
      if (i < count && rest > 0) {
        put(whole, load_part(rows[i] + whole, rest));
      } else {
        for (int d = present; d < length; d += 16) put(d, V16{});
      }
    }
  }

  static I16 corrections(const Packed* tile, int length) { return Dot::corrections(tile, length); }
  static void tile_of(const Packed* packed, int length, Packed* tile) { Dot::tile_of(packed, length, tile); }
  static void rows_of(const Packed* packed, int length, Row* to) { Dot::rows_of(packed, length, to); }

  template <int tiles, typename Put>
  static void product(const Row* rows, const Packed* const (&tile)[tiles], int depth, const Put& put) {
    Dot::product(rows, tile, depth, put);
  }

  static V16 value(const I16& sums, const V16& scales, const I16& corrections, float row_scale) {
    return to_floats(sums + corrections) * (scales * row_scale);
  }
};

// What most Dots have: rows one after another, `added` to each of their numbers; tiles with four bytes of each of the
// sixteen side by side; no corrections.
template <typename RowNumber, typename PackedNumber, int added = 0>
struct Fours {
  using Row = RowNumber;
  using Packed = PackedNumber;
  static constexpr int offset = added;

  static I16 corrections(const Packed*, int) { return {}; }
  static void tile_of(const Packed* packed, int length, Packed* tile) {
    turn(packed, length * static_cast<int>(sizeof(Packed)) / 4, tile);
  }
  static void rows_of(const Packed* packed, int length, Row* to) {
    for (int i = 0; i < kTile * length; ++i) to[i] = static_cast<Row>(packed[i] + added);
  }
};

// The integers as floats, for processors of every kind: the sums stay below 2^24 (256 * 127 * 127), so they are exact,
// and multiplying floats is what every processor does well.
struct PlainDot : Fours<float, float> {
  static constexpr int step = 1;

  template <int tiles, typename Put>
  static void product(const float* rows, const float* const (&tile)[tiles], int depth, const Put& put) {
    float_product(rows, tile, depth, [&put](int row, const V16 (&total)[tiles]) {
      I16 sums[tiles];
#pragma GCC unroll 16
      for (int t = 0; t < tiles; ++t) sums[t] = to_integers(total[t]);
      put(row, sums);
    });
  }
};

}  // namespace
}  // namespace wordtell
