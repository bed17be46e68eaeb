// AVX-512 with VNNI: 8-bit products, unsigned by signed, four at a time in every lane.
#pragma once

#include "attention/products.h"
#include "cpu/vnni.h"

namespace wordtell {
namespace {

struct VnniDot {
  using Row = uint8_t;
  using Packed = int8_t;
  static constexpr int step = 4, offset = 128;

  static I16 corrections(const int8_t* tile, int depth) {
    const __m512i offsets = _mm512_set1_epi8(static_cast<char>(offset));
    __m512i sums = _mm512_setzero_si512();
    for (int d = 0; d < depth; d += 4) {
      sums = _mm512_dpbusd_epi32(sums, offsets, _mm512_load_si512(tile + d * kTile));
    }
    return {{reinterpret_cast<IntegerPart>(_mm512_sub_epi32(_mm512_setzero_si512(), sums))}};
  }

  template <int tiles, typename Put>
  static void product(const uint8_t* rows, const int8_t* const (&tile)[tiles], int depth, const Put& put) {
    constexpr int together = kRegisters / tiles;
    I16 sums[together][tiles];
    for (int first = 0; first < kTile; first += together) {
      multiply<together>(rows + first * depth, tile, depth, sums);
      for (int i = 0; i < together; ++i) put(first + i, sums[i]);
    }
  }

 private:
  // In a function of its own, see attention/products.h.
  template <int together, int tiles>
  static __attribute__((noinline)) void multiply(const uint8_t* rows, const int8_t* const (&tile)[tiles], int depth,
                                                 I16 (&sums)[together][tiles]) {
    const auto load = [&](int d, __m512i(&columns)[tiles]) __attribute__((always_inline)) {
#pragma GCC unroll 16
      for (int t = 0; t < tiles; ++t) columns[t] = _mm512_load_si512(tile[t] + d * kTile);
    };
    const auto put = [&](int i, int t, __m512i total) __attribute__((always_inline)) {
      sums[i][t].parts[0] = reinterpret_cast<IntegerPart>(total);
    };
    multiply_bytes<together, tiles>(rows, depth, depth, load, put);
  }
};

}  // namespace
}  // namespace wordtell
